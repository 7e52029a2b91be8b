"""`grafient status`: the state of the whole system on one page."""

from collections import Counter
from datetime import date, datetime
from typing import Any

from connector.operations import status as connector_status
from ledger.operations import status as ledger_status
from sqlalchemy.ext.asyncio import AsyncConnection
from syncer.operations import queue

from grafient.cli.database import in_transaction
from grafient.cli.output import Json, show, table

Part = dict[str, list[dict[str, Any]]]


def status(*, as_json: Json = False) -> None:
    """Show the state of integrations, queue and ledger, and how many days have not been read."""
    parts = (
        in_transaction("connector", _connector) | in_transaction("syncer", _syncer) | in_transaction("ledger", _ledger)
    )
    rows = [{"part": part} | line for part, lines in parts.items() for line in lines]
    show(parts, table("The system", rows), as_json=as_json)


async def _connector(connection: AsyncConnection) -> Part:
    by_status = await connector_status.integrations_by_status(connection)
    return {
        "integrations": [_line(f"{one.status} {one.code or ''}".strip(), one.count, one.since) for one in by_status],
        "to be announced": [_line("states", *await connector_status.unpublished_states(connection))],
    }


async def _syncer(connection: AsyncConnection) -> Part:
    windows = await queue.waiting(connection)
    unread = await queue.unread(connection)
    states = Counter(one.state for one in windows)
    since = {state: min(one.created_at for one in windows if one.state == state) for state in states}
    return {
        "windows": [_line(state, count, since[state]) for state, count in sorted(states.items())],
        "unread": [_line("finished days", unread.days, unread.oldest)],
    }


async def _ledger(connection: AsyncConnection) -> Part:
    return {"not reconciled": [_line("windows", *await ledger_status.unreconciled_windows(connection))]}


def _line(what: str, count: int, since: datetime | date | None) -> dict[str, Any]:
    return {"what": what, "count": count, "since": since}
