"""Moving sealed keys to the current key-encryption key, batch by batch. The relay announces what was moved."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from common.crypto.envelopes import Binding, Envelope, Rewraps, UnsealableError
from common.database import Database
from sqlalchemy import Row, text

AT_ONCE = 1000
LOOKS_EVERY = 0.2
BEFORE_ALL = UUID(int=0)

_NAMES_ANOTHER = "envelope IS NOT NULL AND envelope ->> 'key_id' IS DISTINCT FROM :current"

_COUNT = text(f"SELECT count(*) FROM integrations WHERE {_NAMES_ANOTHER}")  # noqa: S608 - only a constant is put in

_NEXT = text(f"""
    SELECT integration_id, account_id, credential_version, wrap_version, envelope FROM integrations
    WHERE {_NAMES_ANOTHER} AND integration_id > :after ORDER BY integration_id LIMIT {AT_ONCE}
""")  # noqa: S608 - only constants are put in

# Rows that somebody is changing are left for the next round: who waits for several at once can be waited for.
_MOVE = text("""
    UPDATE integrations i SET envelope = moved.envelope, wrap_version = i.wrap_version + 1, sealed_at = clock_timestamp()
    FROM (
        SELECT new.integration_id, new.envelope FROM jsonb_to_recordset(CAST(:rows AS jsonb))
            AS new (integration_id uuid, credential_version integer, wrap_version integer, envelope jsonb)
        JOIN integrations held USING (integration_id, credential_version, wrap_version)
        WHERE held.envelope IS NOT NULL FOR NO KEY UPDATE OF held SKIP LOCKED
    ) moved
    WHERE i.integration_id = moved.integration_id
""")


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of some rows that named another key."""

    last: UUID | None
    """Of the batch; None: there was none left."""
    moved: int = 0
    left: int = 0
    """Changed meanwhile: to be looked at again."""
    unsealable: tuple[UUID, ...] = ()
    """Did not unwrap, and stay as they are."""


class Rewrapping:
    """Every step is one transaction by compare-and-set: it can be killed at any point and simply begins again."""

    def __init__(self, database: Database, rewrapper: Rewraps, current: str) -> None:
        """`current` is the ID of the key that `rewrapper` wraps under."""
        self._database = database
        self._rewrapper = rewrapper
        self._current = current

    async def all(self, told: Callable[[Batch], None] = lambda _: None, *, dry_run: bool = False) -> Batch:
        """Move every row, those that somebody is changing as soon as they are free; `told` hears of each batch."""
        moved, unsealable = 0, set[UUID]()
        while True:
            last, left = BEFORE_ALL, 0
            while (batch := await self.batch(last, dry_run=dry_run)).last is not None:
                told(batch)
                last, left, moved = batch.last, left + batch.left, moved + batch.moved
                unsealable.update(batch.unsealable)
            if not left:
                return Batch(None, moved, 0, tuple(sorted(unsealable)))
            await asyncio.sleep(LOOKS_EVERY)

    async def count(self) -> int:
        """Rows whose sealed key names another key than the current one."""
        async with self._database.transaction() as connection:
            found: int = (await connection.execute(_COUNT, {"current": self._current})).scalar_one()
        return found

    async def batch(self, after: UUID = BEFORE_ALL, *, dry_run: bool = False) -> Batch:
        """Move the next rows behind `after`, by ID; with `dry_run` only find out whether they could be moved."""
        rows = await self._read(after)
        if not rows:
            return Batch(None)
        fit, unsealable = self._rewrapped(rows)
        moved = await self._move(fit) if fit and not dry_run else len(fit)
        return Batch(rows[-1].integration_id, moved, len(fit) - moved, unsealable)

    async def _read(self, after: UUID) -> Sequence[Row[Any]]:
        async with self._database.transaction() as connection:
            return (await connection.execute(_NEXT, {"current": self._current, "after": after})).all()

    def _rewrapped(self, rows: Sequence[Row[Any]]) -> tuple[list[tuple[Row[Any], Envelope]], tuple[UUID, ...]]:
        """The rows with their new envelopes, and the IDs of those that do not unwrap."""
        fit, unsealable = [], []
        for row in rows:
            place = Binding(row.account_id, row.integration_id, row.credential_version)
            try:
                fit.append((row, self._rewrapper.rewrap(row.envelope, place)))
            except UnsealableError:
                unsealable.append(row.integration_id)
        return fit, tuple(unsealable)

    async def _move(self, fit: Sequence[tuple[Row[Any], Envelope]]) -> int:
        rows = [
            {
                "integration_id": str(row.integration_id),
                "credential_version": row.credential_version,
                "wrap_version": row.wrap_version,
                "envelope": envelope,
            }
            for row, envelope in fit
        ]
        async with self._database.transaction() as connection:
            return (await connection.execute(_MOVE, {"rows": json.dumps(rows)})).rowcount
