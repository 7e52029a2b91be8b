"""`grafient raw`: what xAI answered, as it came."""

import json
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import typer
from syncer.operations import raw
from syncer.operations.raw import Part

from grafient.cli.database import in_transaction
from grafient.cli.output import Json, show, stderr

app = typer.Typer(no_args_is_help=True, help="Look at xAI's answers, which are kept for 90 days.")

Reading = Annotated[
    UUID, typer.Argument(metavar="READING", help="A `reading_id`, as in SyncCompleted and CostRecorded.")
]


@app.callback()
def _commands() -> None:
    """Keep `show` a command of its own, although there is no other."""


@app.command("show", epilog="Example: grafient raw show 3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f")
def show_(reading: Reading, *, as_json: Json = False) -> None:
    """Print the answers of a reading as they came, oldest days first; their days and hashes go to stderr."""
    parts = in_transaction("syncer", lambda connection: raw.parts_of(connection, reading))
    if as_json:
        show([_row(part) for part in parts], "", as_json=True)
        return
    for number, part in enumerate(parts):
        stderr.print(f"{part.first_day} to {part.last_day}, SHA-256 {part.sha256}", style="dim", soft_wrap=True)
        typer.echo(part.body, nl=number + 1 < len(parts))


def _row(part: Part) -> dict[str, Any]:
    return asdict(part) | {"body": part.body.decode(json.detect_encoding(part.body))}
