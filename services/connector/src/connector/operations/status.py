"""The state of the connector in figures. Callers own the transaction."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_BY_STATUS = text("""
    SELECT status, status_code AS code, count(*) AS count, min(status_since) AS since
    FROM integrations WHERE removed_at IS NULL GROUP BY 1, 2 ORDER BY 1, coalesce(status_code, '')
""")
_UNPUBLISHED = text("SELECT count(*), min(changed_at) FROM integrations WHERE version > announced_version")


@dataclass(frozen=True, slots=True)
class StatusCount:
    """Integrations with the same status and code."""

    status: str
    code: str | None
    count: int
    since: datetime
    """Of the one that has it longest."""


async def integrations_by_status(connection: AsyncConnection) -> list[StatusCount]:
    """Those that are not removed."""
    return [StatusCount(*row) for row in await connection.execute(_BY_STATUS)]


async def unpublished_states(connection: AsyncConnection) -> tuple[int, datetime | None]:
    """How many states of integrations are still to be published, and since when the oldest."""
    count, since = (await connection.execute(_UNPUBLISHED)).one()
    return count, since
