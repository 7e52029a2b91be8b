"""Moves sealed keys to the current key-encryption key, batch by batch. The relay announces what was moved."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from common.crypto.envelopes import Binding, Envelope, Rewraps, UnsealableError
from common.database import Database
from sqlalchemy import Row, text

BATCH_SIZE = 1000
RETRY_EVERY = 0.2
FIRST = UUID(int=0)

_OTHER_KEY = "envelope IS NOT NULL AND envelope ->> 'key_id' IS DISTINCT FROM :current"

_COUNT = text(f"SELECT count(*) FROM integrations WHERE {_OTHER_KEY}")  # noqa: S608 - only a constant is put in

_NEXT = text(f"""
    SELECT integration_id, account_id, credential_version, wrap_version, envelope FROM integrations
    WHERE {_OTHER_KEY} AND integration_id > :after ORDER BY integration_id LIMIT :batch
""")  # noqa: S608 - only a constant is put in

# Locked rows are left for the next round: a transaction that waits for several can deadlock.
_MOVE = text("""
    UPDATE integrations i SET envelope = moved.envelope, wrap_version = i.wrap_version + 1, sealed_at = clock_timestamp()
    FROM (
        SELECT new.integration_id, new.envelope FROM jsonb_to_recordset(CAST(:rows AS jsonb))
            AS new (integration_id uuid, credential_version integer, wrap_version integer, envelope jsonb)
        JOIN integrations locked USING (integration_id, credential_version, wrap_version)
        WHERE locked.envelope IS NOT NULL FOR NO KEY UPDATE OF locked SKIP LOCKED
    ) moved
    WHERE i.integration_id = moved.integration_id
""")


@dataclass(frozen=True, slots=True)
class Batch:
    """What happened to some rows that named another key."""

    last: UUID | None
    """Of the batch; None: no row was left."""
    moved: int = 0
    left: int = 0
    """Locked or changed meanwhile: to be read again."""
    unsealable: tuple[UUID, ...] = ()
    """Did not unwrap, and are unchanged."""


class Rewrapping:
    """Every batch is one transaction by compare-and-set: after a crash at any point, run it again."""

    def __init__(self, database: Database, rewrapper: Rewraps, current: str) -> None:
        """`current` is the ID of the key that `rewrapper` wraps under."""
        self._database = database
        self._rewrapper = rewrapper
        self._current = current

    async def all(self, progress: Callable[[Batch], None] = lambda _: None, *, dry_run: bool = False) -> Batch:
        """Move every row, locked ones as soon as they are free; calls `progress` with each batch."""
        moved, unsealable = 0, set[UUID]()
        while True:
            last, left = FIRST, 0
            while (batch := await self.batch(last, dry_run=dry_run)).last is not None:
                progress(batch)
                last, left, moved = batch.last, left + batch.left, moved + batch.moved
                unsealable.update(batch.unsealable)
            if not left:
                return Batch(None, moved, 0, tuple(sorted(unsealable)))
            await asyncio.sleep(RETRY_EVERY)

    async def count(self) -> int:
        """Rows whose sealed key names another key than the current one."""
        async with self._database.transaction() as connection:
            count: int = (await connection.execute(_COUNT, {"current": self._current})).scalar_one()
        return count

    async def batch(self, after: UUID = FIRST, *, dry_run: bool = False) -> Batch:
        """Move the next rows after `after`, by ID; with `dry_run` only check that they unwrap."""
        rows = await self._read(after)
        if not rows:
            return Batch(None)
        movable, unsealable = self._rewrapped(rows)
        moved = await self._move(movable) if movable and not dry_run else len(movable)
        return Batch(rows[-1].integration_id, moved, len(movable) - moved, unsealable)

    async def _read(self, after: UUID) -> Sequence[Row[Any]]:
        async with self._database.transaction() as connection:
            return (
                await connection.execute(_NEXT, {"current": self._current, "after": after, "batch": BATCH_SIZE})
            ).all()

    def _rewrapped(self, rows: Sequence[Row[Any]]) -> tuple[list[tuple[Row[Any], Envelope]], tuple[UUID, ...]]:
        """The rows with their new envelopes, and the IDs of those that do not unwrap."""
        movable, unsealable = [], []
        for row in rows:
            binding = Binding(row.account_id, row.integration_id, row.credential_version)
            try:
                movable.append((row, self._rewrapper.rewrap(row.envelope, binding)))
            except UnsealableError:
                unsealable.append(row.integration_id)
        return movable, tuple(unsealable)

    async def _move(self, movable: Sequence[tuple[Row[Any], Envelope]]) -> int:
        rows = [
            {
                "integration_id": str(row.integration_id),
                "credential_version": row.credential_version,
                "wrap_version": row.wrap_version,
                "envelope": envelope,
            }
            for row, envelope in movable
        ]
        async with self._database.transaction() as connection:
            return (await connection.execute(_MOVE, {"rows": json.dumps(rows)})).rowcount
