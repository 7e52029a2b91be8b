"""A refused key stops the calls of its integration until a person acts, or until it shows that the provider was at fault."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from common.database import pipelined
from contract.fields import Trigger, rfc3339
from contract.problems import Code
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer.domain import REFUSALS_AFTER, default_days
from syncer.requests import Request, take_for_some
from syncer.windows import close_windows

ONE_DAY = timedelta(days=1)
"""Refusals that are older are left to the daily run."""

ASKED_AGAIN_AFTER = timedelta(minutes=1)
"""A key that worked before is tried once more before its refusal counts: one hiccup turns no card red."""

_NOTE_FIRST = text("""
    UPDATE integrations SET refused_once_at = coalesce(refused_once_at, :at) WHERE integration_id = :id
    RETURNING refused_once_at
""")

_POSTPONE = text("""
    UPDATE windows SET due_at = greatest(due_at, :until)
    WHERE integration_id = :id AND closed_at IS NULL AND decision IS NULL
""")

_NOTE_BEYOND = text("""
    UPDATE integrations SET beyond_xai_until = greatest(beyond_xai_until, :until) WHERE integration_id = :id
""")

_MARK_REFUSED = text("""
    UPDATE integrations SET refused_code = :code, refused_since = coalesce(refused_since, :at), refused_once_at = NULL
    WHERE integration_id = :id
""")

_REFUSED = text(
    "SELECT integration_id FROM integrations WHERE refused_since >= :since AND NOT removed ORDER BY integration_id"
)

_REFUSED_AT_ONCE = text("""
    WITH refused AS (
        SELECT integration_id, team_id, refused_since FROM integrations WHERE refused_since >= :since AND NOT removed
    )
    SELECT integration_id FROM refused
    WHERE (SELECT max(refused_since) FROM refused GROUP BY team_id ORDER BY 1 DESC OFFSET :others LIMIT 1)
            > (SELECT coalesce(max(read_at), '-infinity') FROM integrations)
        AND NOT EXISTS (SELECT 1 FROM windows JOIN refused USING (integration_id) WHERE closed_at IS NULL)
    ORDER BY integration_id
""")


async def asked_again_at(connection: AsyncConnection, integration_id: UUID, at: datetime) -> datetime | None:
    """When a key that worked before and was refused at `at` is tried again, in all windows; None: the refusal counts."""
    first_at: datetime = (await connection.execute(_NOTE_FIRST, {"id": integration_id, "at": at})).scalar_one()
    until = first_at + ASKED_AGAIN_AFTER
    if at >= until:
        return None
    await connection.execute(_POSTPONE, {"id": integration_id, "until": until})
    return until


async def note_beyond(connection: AsyncConnection, integration_id: UUID, until: date) -> None:
    """Days up to `until` are refused, and newer ones are not."""
    await connection.execute(_NOTE_BEYOND, {"id": integration_id, "until": until})


async def mark_refused(connection: AsyncConnection, integration_id: UUID, code: Code, at: datetime) -> None:
    """Store the refusal and since when, and end the windows that wait."""
    await connection.execute(_MARK_REFUSED, {"id": integration_id, "code": code.value, "at": at})
    async with pipelined(connection) as pipeline:
        await close_windows(pipeline, code, at, integration_id=integration_id)


async def recheck(connection: AsyncConnection, since: datetime, at: datetime) -> None:
    """Keys are accepted again: read every integration that was refused on the day before `since`, or later."""
    rows = await connection.execute(_REFUSED, {"since": since - ONE_DAY})
    await _queue(connection, rows.scalars().all(), f"recheck:{rfc3339(since)}", at)


async def probe(connection: AsyncConnection, at: datetime) -> None:
    """Where all keys were refused, read them once more: the provider may be at fault, and no other request may come for hours.

    The circuit breaker limits this to one call at a time.
    """
    rows = await connection.execute(_REFUSED_AT_ONCE, {"since": at - ONE_DAY, "others": REFUSALS_AFTER - 1})
    await _queue(connection, rows.scalars().all(), f"probe:{rfc3339(at)}", at)


async def _queue(connection: AsyncConnection, integration_ids: Sequence[UUID], request_id: str, at: datetime) -> None:
    request = Request(request_id, Trigger.DAILY, default_days(at.date()))
    await take_for_some(connection, request, integration_ids, at)
