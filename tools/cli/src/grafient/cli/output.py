"""What commands print: tables for people, JSON for programs."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console, JustifyMethod, RenderableType
from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing, and print what would be done.")]

stdout = Console()
"""For results."""
stderr = Console(stderr=True)
"""For progress and remarks: results can be piped."""


def table(title: str, rows: Sequence[dict[str, str]], right: frozenset[str] = frozenset()) -> Table:
    """`rows` as a table; the columns of `right` are figures. A text that is too long for the screen is wrapped, never cut."""
    rendered = Table(title=title, title_justify="left")
    for name in rows[0] if rows else ():
        justify: JustifyMethod = "right" if name in right else "left"
        rendered.add_column(name.replace("_", " "), justify=justify, no_wrap=name in right, overflow="fold")
    for row in rows:
        rendered.add_row(*row.values())
    return rendered


def show(data: object, rendered: RenderableType, *, as_json: bool) -> None:
    """Print `data` as one line of JSON, or `rendered`; without data the word `none`."""
    if as_json:
        typer.echo(json.dumps(data, default=str))
    else:
        stdout.print(rendered if data else "none")


def text_of(value: object) -> str:
    """For a cell of a table; None is empty."""
    return "" if value is None else str(value)
