"""`grafient questions`: days of which xAI reports less than before, and what an operator may decide about them."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncConnection
from syncer.operations import questions
from syncer.operations.questions import OpenQuestion

from grafient.cli.database import in_transaction
from grafient.cli.output import DryRun, Json, show, table

app = typer.Typer(
    no_args_is_help=True, help="Look at the days of which xAI reports less than before, or accept what it reports."
)

Integration = Annotated[UUID | None, typer.Option(help="Only those of this integration.")]
OfIntegration = Annotated[UUID, typer.Argument(metavar="INTEGRATION", help="Its ID, as `list` shows it.")]
Days = Annotated[list[datetime] | None, typer.Argument(metavar="DAY...", formats=["%Y-%m-%d"])]
All = Annotated[bool, typer.Option("--all", help="All questioned days of the integration.")]
EXAMPLE = "grafient questions accept 3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f 2026-10-04 2026-10-05"


@app.command("list", epilog="Example: grafient questions list --json")
def list_(*, integration: Integration = None, as_json: Json = False) -> None:
    """List the questioned days: what is shown, what xAI reports, and who decides."""
    found = in_transaction("syncer", lambda connection: questions.questions(connection, integration))
    show(_data(found), table("Questioned days", [_row(one) for one in found]), as_json=as_json)


@app.command(epilog=f"Example: {EXAMPLE}")
def accept(
    integration: OfIntegration,
    days: Days = None,
    *,
    every: All = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Accept what xAI reports of these days: it is asked once more within a minute, and the same answer is published.

    Status 1 where one of the days is not questioned.
    """
    named = {day.date() for day in days or ()}
    if every == bool(named):
        raise typer.BadParameter("name each DAY, or use --all")

    async def change(connection: AsyncConnection) -> list[OpenQuestion]:
        found = await questions.questions(connection, integration)
        chosen = [one for one in found if every or one.day in named]
        if not dry_run:
            await questions.accept(connection, integration, [one.day for one in chosen])
        return chosen

    chosen = in_transaction("syncer", change)
    title = "Would be accepted" if dry_run else "Accepted"
    show(_data(chosen), table(title, [_row(one) for one in chosen]), as_json=as_json)
    raise typer.Exit(len(chosen) < len(named))


def _data(found: Sequence[OpenQuestion]) -> list[dict[str, Any]]:
    return [asdict(one) for one in found]


def _row(one: OpenQuestion) -> dict[str, Any]:
    return {
        "integration": one.integration_id,
        "account": one.account_id,
        "day": one.day,
        "why": one.kind,
        "shown": one.known_usd,
        "reported": one.answered_usd,
        "since": one.asked_at,
        "waits for": "xai, accepted" if one.accepted else one.waits_for,
    }
