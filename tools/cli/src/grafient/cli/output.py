"""What commands print: tables for eyes, JSON for programs."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console, JustifyMethod, RenderableType
from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")]

console = Console()
"""For results."""
progress_console = Console(stderr=True)
"""For what is going on meanwhile: results can be piped."""


def table(title: str, rows: Sequence[dict[str, str]], right: frozenset[str] = frozenset()) -> Table:
    """`rows` as a table; the columns of `right` are figures. What is too long for the screen goes on below: nothing is cut."""
    made = Table(title=title, title_justify="left")
    for name in rows[0] if rows else ():
        justify: JustifyMethod = "right" if name in right else "left"
        made.add_column(name.replace("_", " "), justify=justify, no_wrap=name in right, overflow="fold")
    for row in rows:
        made.add_row(*row.values())
    return made


def show(data: object, rendered: RenderableType, *, as_json: bool) -> None:
    """Print `data` as one line of JSON, or `rendered`; where there is nothing, that is said."""
    if as_json:
        typer.echo(json.dumps(data))
    else:
        console.print(rendered if data else "none")
