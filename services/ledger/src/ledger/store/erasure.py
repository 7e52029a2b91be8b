"""Erasing an integration's history for good."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

ERASING_LOCK = 7_205_759_405
"""Advisory lock: batches share it, an erasure holds it alone, so a batch that missed the erasure commits before it."""


async def block_erasure(connection: AsyncConnection) -> None:
    """Nothing is erased until the transaction ends."""
    await connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": ERASING_LOCK})


async def erased(connection: AsyncConnection, ids: Iterable[UUID]) -> set[UUID]:
    """Those of `ids` whose history was erased; valid as long as `block_erasure` is in effect."""
    rows = await connection.execute(
        text("SELECT integration_id FROM erased WHERE integration_id = ANY(:ids)"), {"ids": list(ids)}
    )
    return set(rows.scalars())


async def erase(connection: AsyncConnection, integration_id: UUID) -> None:
    """Delete the integration's days, revisions and outcomes for good; waits for running batches."""
    await connection.execute(text("SELECT erase_integration(:id)"), {"id": integration_id})
