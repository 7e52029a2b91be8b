"""Erasing an integration's history for good."""

from collections.abc import Iterable
from uuid import UUID

from common.database import Cursor, Pipeline

ERASING_LOCK = 7_205_759_405
"""Advisory lock: batches share it, an erasure holds it alone, so a batch that missed the erasure commits before it."""


async def block_erasure(pipeline: Pipeline) -> None:
    """Nothing is erased until the transaction ends."""
    await pipeline.execute("SELECT pg_advisory_xact_lock_shared(%(lock)s)", {"lock": ERASING_LOCK})


async def erased(pipeline: Pipeline, ids: Iterable[UUID]) -> Cursor:
    """`integration_id` of those of `ids` whose history was erased; valid as long as `block_erasure` is in effect."""
    statement = "SELECT integration_id FROM erased WHERE integration_id = ANY(%(ids)b::uuid[])"
    return await pipeline.execute(statement, {"ids": list(ids)})


async def erase(pipeline: Pipeline, integration_id: UUID) -> None:
    """Delete the integration's days, revisions and outcomes for good; waits for running batches."""
    await pipeline.execute("SELECT erase_integration(%(id)s)", {"id": integration_id})
