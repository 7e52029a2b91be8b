"""The state of the ledger in figures. Callers own the transaction."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_UNRECONCILED = text("SELECT count(*), min(observed_at) FROM outcomes WHERE NOT reconciled")


async def unreconciled_windows(connection: AsyncConnection) -> tuple[int, datetime | None]:
    """How many windows lack days that were read, and when the oldest was read."""
    count, since = (await connection.execute(_UNRECONCILED)).one()
    return count, since
