"""`grafient status`: how the whole system stands, on one page."""

from collections import Counter
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from syncer.operations import queue

from grafient.cli.database import in_transaction
from grafient.cli.output import Json, show, table

_INTEGRATIONS = text("""
    SELECT status, coalesce(status_code, '') AS code, count(*) AS count, min(status_since) AS since
    FROM integrations WHERE removed_at IS NULL GROUP BY 1, 2 ORDER BY 1, 2
""")
_UNANNOUNCED = text("SELECT count(*), min(changed_at) FROM integrations WHERE version > announced_version")
_UNRECONCILED = text("SELECT count(*), min(observed_at) FROM outcomes WHERE NOT reconciled")


def status(*, as_json: Json = False) -> None:
    """Say how the integrations stand, what the queue holds, and what has not been read."""
    told = (
        in_transaction("connector", _connector) | in_transaction("syncer", _syncer) | in_transaction("ledger", _ledger)
    )
    show(
        told, table("The system", [row for what, lines in told.items() for row in _rows(what, lines)]), as_json=as_json
    )


async def _connector(connection: AsyncConnection) -> dict[str, Any]:
    integrations = (await connection.execute(_INTEGRATIONS)).all()
    return {
        "integrations": [
            {"what": f"{row.status} {row.code}".strip(), "count": row.count, "since": _text(row.since)}
            for row in integrations
        ],
        "to be announced": [_line("states", (await connection.execute(_UNANNOUNCED)).one())],
    }


async def _syncer(connection: AsyncConnection) -> dict[str, Any]:
    open_ = await queue.waiting(connection)
    unread = await queue.unread(connection)
    states = Counter(one.state for one in open_)
    since = {state: min(one.created_at for one in open_ if one.state == state) for state in states}
    return {
        "windows": [
            {"what": state, "count": count, "since": _text(since[state])} for state, count in sorted(states.items())
        ],
        "unread": [{"what": "finished days", "count": unread.days, "since": _text(unread.oldest)}],
    }


async def _ledger(connection: AsyncConnection) -> dict[str, Any]:
    return {"not reconciled": [_line("windows", (await connection.execute(_UNRECONCILED)).one())]}


def _line(what: str, row: Any) -> dict[str, Any]:  # noqa: ANN401 - a row of two columns
    return {"what": what, "count": row[0], "since": _text(row[1])}


def _rows(part: str, lines: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [
        {"part": part, "what": one["what"], "count": str(one["count"]), "since": one["since"] or ""} for one in lines
    ]


def _text(value: object) -> str | None:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    return None if value is None else str(value)
