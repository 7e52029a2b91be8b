"""A refused key stops the calls of its integration until a person acts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from contract.fields import Trigger, rfc3339
from contract.problems import Code
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer.domain import REFUSALS_AFTER, default_days
from syncer.requests import Request, take
from syncer.windows import end_open

ONE_DAY = timedelta(days=1)
"""The daily runs ask about those who were refused before."""

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


async def mark_refused(connection: AsyncConnection, integration_id: UUID, code: Code, at: datetime) -> None:
    """Note the refusal, since when, and end the windows that wait."""
    await connection.execute(
        text("""UPDATE integrations SET refused_code = :code, refused_since = coalesce(refused_since, :at)
                WHERE integration_id = :id"""),
        {"id": integration_id, "code": code.value, "at": at},
    )
    await end_open(connection, integration_id, code, at)


async def recheck(connection: AsyncConnection, since: datetime, at: datetime) -> None:
    """Keys are accepted again: ask once more for every integration that was refused on the day before `since`, or later."""
    rows = await connection.execute(_REFUSED, {"since": since - ONE_DAY})
    await _ask(connection, rows.scalars().all(), f"recheck:{rfc3339(since)}", at)


async def probe(connection: AsyncConnection, at: datetime) -> None:
    """Where everybody's key was refused, ask for them once more: it may be xAI's fault, and nobody else may ask for hours.

    The circuit sees to it that xAI is asked about one of them at a time.
    """
    rows = await connection.execute(_REFUSED_AT_ONCE, {"since": at - ONE_DAY, "others": REFUSALS_AFTER - 1})
    await _ask(connection, rows.scalars().all(), f"probe:{rfc3339(at)}", at)


async def _ask(connection: AsyncConnection, integration_ids: Sequence[UUID], request_id: str, at: datetime) -> None:
    request = Request(request_id, Trigger.DAILY, default_days(at.date()))
    for integration_id in integration_ids:
        await take(connection, request, integration_id, at)
