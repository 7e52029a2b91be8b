"""A refused key stops the calls of its integration until a person acts."""

from datetime import datetime
from uuid import UUID

from common.problems import Code
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer.windows import end_open


async def mark_refused(connection: AsyncConnection, integration_id: UUID, code: Code, at: datetime) -> None:
    """Note the refusal, since when, and end the windows that wait."""
    await connection.execute(
        text("""UPDATE integrations SET refused_code = :code, refused_since = coalesce(refused_since, :at)
                WHERE integration_id = :id"""),
        {"id": integration_id, "code": code.value, "at": at},
    )
    await end_open(connection, integration_id, code, at)
