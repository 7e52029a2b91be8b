"""What commands print: tables for eyes, JSON for programs."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")]

console = Console()
"""For results."""
progress_console = Console(stderr=True)
"""For what is going on meanwhile: results can be piped."""


def table(title: str, rows: Sequence[dict[str, str]], right: frozenset[str] = frozenset()) -> Table:
    """`rows` as a table; the columns of `right` are figures."""
    made = Table(title=title, title_justify="left")
    for name in rows[0] if rows else ():
        made.add_column(name.replace("_", " "), justify="right" if name in right else "left", no_wrap=name in right)
    for row in rows:
        made.add_row(*row.values())
    return made


def show(data: object, rendered: RenderableType, *, as_json: bool) -> None:
    """Print `data` as one line of JSON, or `rendered`."""
    if as_json:
        typer.echo(json.dumps(data))
    else:
        console.print(rendered)
