"""What commands print: tables for people, JSON for programs."""

import json
import os
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import typer
from contract.fields import rfc3339
from contract.money import plain
from rich.console import Console, RenderableType

from grafient.cli.tables import Row, Rows

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing, and print what would be done.")]
PIPE_WIDTH = 1000
"""Columns where the output is no terminal: each row is one line."""

stdout = Console()
"""For results."""
stderr = Console(stderr=True)
"""For progress and remarks: results can be piped."""


def table(title: str, rows: Sequence[Row]) -> Rows:
    """`rows` for people."""
    return Rows(title, rows)


def show(data: object, rendered: RenderableType, *, as_json: bool) -> None:
    """Print `data` as one line of JSON, or `rendered`; without data the word `none`."""
    if as_json:
        typer.echo(json.dumps(data, default=_json))
    else:
        print_out(rendered if data else "none")


def print_out(rendered: RenderableType) -> None:
    """Print a result for people."""
    is_pipe = not stdout.is_terminal and "COLUMNS" not in os.environ
    stdout.print(rendered, width=PIPE_WIDTH if is_pipe else None)


def _json(value: object) -> str:
    """What JSON has no type for: instants are RFC 3339, money is plain decimals, and the rest is its text."""
    if isinstance(value, datetime):
        return rfc3339(value)
    return plain(value) if isinstance(value, Decimal) else str(value)
