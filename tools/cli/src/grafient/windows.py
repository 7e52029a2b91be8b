"""`grafient windows`: the syncer's queue, and what an operator may change in it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncConnection
from syncer.operations import queue
from syncer.operations.queue import OpenWindow, Refused

from grafient.cli.database import in_transaction
from grafient.cli.output import DryRun, Json, show, table

app = typer.Typer(
    no_args_is_help=True, help="Look at the windows that wait to be read from xAI, make them due, or cancel them."
)

Integration = Annotated[UUID | None, typer.Option(help="Only those of this integration.")]
Ids = Annotated[list[UUID], typer.Argument(metavar="ID...", help="As `list` shows them.")]


@app.command("list", epilog="Example: grafient windows list --integration 3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f")
def list_(*, integration: Integration = None, as_json: Json = False) -> None:
    """List the open windows, oldest first."""
    windows = in_transaction("syncer", lambda connection: queue.waiting(connection, integration))
    show(_rows(windows), table("Open windows", [_row(window) for window in windows]), as_json=as_json)


@app.command(epilog="Example: grafient windows retry 3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f")
def retry(ids: Ids, *, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Make windows due now; a Retry-After of xAI still delays them. Status 1 where one cannot be made due."""
    _change("Due now", queue.retry, ids, dry_run=dry_run, as_json=as_json)


@app.command(epilog="Example: grafient windows cancel 3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f")
def cancel(ids: Ids, *, dry_run: DryRun = False, as_json: Json = False) -> None:
    """End windows as `cancelled`; missing days are healed as always. Status 1 where one cannot be cancelled."""
    _change("Cancelled", queue.cancel, ids, dry_run=dry_run, as_json=as_json)


def _change(
    title: str,
    act: Callable[[AsyncConnection, Sequence[UUID]], Awaitable[list[UUID]]],
    ids: list[UUID],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    async def change(connection: AsyncConnection) -> tuple[list[OpenWindow], list[Refused]]:
        windows = await queue.waiting(connection)
        async with connection.begin_nested() as savepoint:
            done = set(await act(connection, ids))
            if dry_run:
                await savepoint.rollback()
        refused = await queue.why_not(connection, [one for one in dict.fromkeys(ids) if one not in done])
        return [window for window in windows if window.window_id in done], refused

    done, refused = in_transaction("syncer", change)
    rendered = table(f"Would be: {title}" if dry_run else title, [_row(window) for window in done])
    show({"done": _rows(done), "refused": _rows(refused)}, rendered if done else "nothing was done", as_json=as_json)
    if not as_json:
        for one in refused:
            typer.echo(f"{one.window_id}: {one.state}. {one.detail} ({one.code.value})", err=True)
    raise typer.Exit(bool(refused))


def _rows(found: Sequence[OpenWindow | Refused]) -> list[dict[str, Any]]:
    return [asdict(one) for one in found]


def _row(window: OpenWindow) -> dict[str, Any]:
    return {
        "window": window.window_id,
        "account": window.account_id,
        "trigger": window.trigger,
        "days": f"{window.first_day} {window.last_day}",
        "state": window.state,
        "attempts": window.attempts,
        "code": window.code,
        "cause": window.cause,
        "due": window.due_at,
    }
