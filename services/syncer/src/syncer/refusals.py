"""A refused key stops the calls of its integration until a person acts."""

from datetime import datetime
from uuid import UUID

from common.fields import Trigger, rfc3339
from common.problems import Code
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer.domain import default_days
from syncer.queue import Request, take
from syncer.windows import end_open


async def mark_refused(connection: AsyncConnection, integration_id: UUID, code: Code, at: datetime) -> None:
    """Note the refusal, since when, and end the windows that wait."""
    await connection.execute(
        text("""UPDATE integrations SET refused_code = :code, refused_since = coalesce(refused_since, :at)
                WHERE integration_id = :id"""),
        {"id": integration_id, "code": code.value, "at": at},
    )
    await end_open(connection, integration_id, code, at)


async def recheck(connection: AsyncConnection, since: datetime, at: datetime) -> None:
    """Ask once more for every integration that was refused from `since` on: it may have been xAI's fault."""
    rows = await connection.execute(
        text(
            "SELECT integration_id FROM integrations WHERE refused_since >= :since AND NOT removed ORDER BY integration_id"
        ),
        {"since": since},
    )
    request = Request(f"recheck:{rfc3339(since)}", Trigger.DAILY, default_days(at.date()))
    for integration_id in rows.scalars().all():
        await take(connection, request, integration_id, at)
