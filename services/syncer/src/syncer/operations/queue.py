"""The queue for operators: list, retry and cancel windows. Callers own the transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from common.database import pipelined
from contract.problems import Code, cause_of
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer import coverage
from syncer.coverage import UnreadDays
from syncer.store import now
from syncer.windows import close_windows


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """An open window."""

    window_id: UUID
    integration_id: UUID
    account_id: str
    trigger: str
    first_day: date
    last_day: date
    state: str
    """`in_hand`, `to_be_published`, `waiting_for_key`, `due`, or `waiting` for its next attempt."""
    attempts: int
    code: str | None
    cause: str | None
    """Of the last failed attempt: whom it asked, and the kind of failure."""
    due_at: datetime
    created_at: datetime


_OPEN = text("""
    SELECT w.window_id, w.integration_id, i.account_id, w.trigger, w.first_day, w.last_day, w.attempts, w.code, w.cause,
        greatest(w.due_at, i.retry_after) AS due_at, w.created_at,
        CASE
            WHEN i.leased_window = w.window_id AND i.lease_until >= clock_timestamp() THEN 'in_hand'
            WHEN w.decision IS NOT NULL THEN 'to_be_published'
            WHEN NOT EXISTS (SELECT 1 FROM credentials c WHERE c.integration_id = i.integration_id
                AND c.credential_version >= i.credential_version) THEN 'waiting_for_key'
            WHEN greatest(w.due_at, i.retry_after) <= clock_timestamp() THEN 'due'
            ELSE 'waiting'
        END AS state
    FROM windows w JOIN integrations i USING (integration_id)
    WHERE w.closed_at IS NULL AND (CAST(:id AS uuid) IS NULL OR w.integration_id = :id)
    ORDER BY w.created_at, w.window_id
""")


@dataclass(frozen=True, slots=True)
class Refused:
    """A window that was left as it is."""

    window_id: UUID
    state: str
    """`unknown`, `ended`, `to_be_published`, or `in_hand`."""
    code: Code
    detail: str
    """Why, and the next step."""


_RETRY = text("""
    UPDATE windows SET due_at = clock_timestamp()
    WHERE window_id = ANY(:ids) AND closed_at IS NULL AND decision IS NULL RETURNING window_id
""")

_STATES = text("""
    SELECT asked.window_id, w.closed_at, CASE
            WHEN w.window_id IS NULL THEN 'unknown' WHEN w.closed_at IS NOT NULL THEN 'ended'
            WHEN w.decision IS NOT NULL THEN 'to_be_published' ELSE 'in_hand'
        END AS state
    FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS asked(window_id, number) LEFT JOIN windows w USING (window_id)
    ORDER BY asked.number
""")
_WHY = {
    "unknown": Code.NOT_FOUND,
    "ended": Code.WINDOW_ENDED,
    "to_be_published": Code.WINDOW_DECIDED,
    "in_hand": Code.WINDOW_IN_HAND,
}
UNKNOWN = "No window has this ID, or it ended over 30 days ago. See `grafient windows list`."


async def unread(connection: AsyncConnection) -> UnreadDays:
    """Days that have not been read, of all integrations."""
    return await coverage.unread(connection, await now(connection))


async def waiting(connection: AsyncConnection, integration_id: UUID | None = None) -> list[OpenWindow]:
    """The open windows, oldest first; of all integrations, or of one."""
    rows = await connection.execute(_OPEN, {"id": integration_id})
    return [OpenWindow(**row._mapping) for row in rows]  # noqa: SLF001 - a row's public mapping has this name


async def retry(connection: AsyncConnection, window_ids: Sequence[UUID]) -> list[UUID]:
    """Make these windows due, if they are open and undecided; answers which. The provider's Retry-After still applies."""
    return list((await connection.execute(_RETRY, {"ids": list(window_ids)})).scalars())


async def why_not(connection: AsyncConnection, window_ids: Sequence[UUID]) -> list[Refused]:
    """Why these windows were left as they are, in the order of their IDs."""
    rows = await connection.execute(_STATES, {"ids": list(window_ids)})
    return [_to_refused(row) for row in rows]


def _to_refused(row: Row[tuple[object, ...]]) -> Refused:
    code = _WHY[row.state]
    at = f"It ended at {row.closed_at:%Y-%m-%d %H:%M:%S}Z. " if row.closed_at else ""
    return Refused(row.window_id, row.state, code, UNKNOWN if code is Code.NOT_FOUND else at + cause_of(code).detail)


async def cancel(connection: AsyncConnection, window_ids: Sequence[UUID]) -> list[UUID]:
    """End these windows as `cancelled`, if they are undecided and not claimed; answers which. Missing days are healed."""
    at = await now(connection)
    async with pipelined(connection) as pipeline:
        return await close_windows(pipeline, Code.CANCELLED, at, window_ids=window_ids)
