"""Reads without anybody asking: queues the days that are not confirmed, and once a week all of them."""

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from uuid import UUID

import structlog
from common.database import Database, pipelined
from common.errors import name_of
from common.loops import Loop
from common.metrics import LATE, UNRECONCILED
from common.watchdog import Watchdog
from contract.fields import Trigger, rfc3339
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer import coverage, questions, requests, store, sweeps
from syncer.domain import Heal, heals
from syncer.refusals import probe
from syncer.requests import Request

log = structlog.get_logger()

LOOK_SHARE = 20.0
"""A look at all days is followed by a rest of so many times as long, where that is more than the rest of a round."""

_UNPLACED = text("""
    SELECT DISTINCT integration_id FROM requests JOIN integrations USING (integration_id)
    WHERE window_id IS NULL AND status = 'accepted'
""")


class Healer:
    """Several processes may heal at once: the second one finds the days in an open window."""

    def __init__(
        self,
        database: Database,
        watchdog: Watchdog,
        *,
        every: float,
        wake_worker: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`every`: seconds between rounds; `wake_worker`: there may be windows to read; `clock`: seconds."""
        self._clock = clock
        self._look_at = 0.0
        self._every = every
        self._database = database
        self._wake_worker = wake_worker
        self._loop = Loop("healer", watchdog, self.round, every=every)
        self.run = self._loop.run
        self.wake = self._loop.wake

    async def round(self) -> None:
        """Every step, whether or not the ones before it fail; the next round repeats those that do."""
        for step in (self._heal, self._sweep, self._probe, self._queue_unplaced):
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - the next round may find database and broker again
                log.warning("healer.failed", step=step.__name__, error=name_of(error))
            self._loop.beat()
        self._wake_worker()

    async def _heal(self) -> None:
        async with self._database.transaction() as connection:
            due = await questions.due(connection, await store.now(connection))
        await self._heal_each(due)
        if self._clock() >= self._look_at:
            began = self._clock()
            await self._look_at_all()
            self._look_at = self._clock() + LOOK_SHARE * (self._clock() - began) - self._every

    async def _look_at_all(self) -> None:
        last: UUID | None = None
        late, unreconciled = 0.0, 0
        while True:
            async with self._database.transaction() as connection:
                ids, at = await store.portion(connection, last), await store.now(connection)
                look = await coverage.look(connection, at, ids)
            late = max(late, (at - look.late_since).total_seconds()) if look.late_since else late
            unreconciled += look.unreconciled
            await self._heal_each(look.missing)
            self._loop.beat()
            if len(ids) < store.PORTION:
                break
            last = ids[-1]
        LATE.set(late)
        UNRECONCILED.set(unreconciled)

    async def _heal_each(self, integration_ids: Iterable[UUID]) -> None:
        for integration_id in integration_ids:
            async with self._database.transaction() as connection:
                await heal(connection, integration_id)
            self._loop.beat()

    async def _sweep(self) -> None:
        async with self._database.transaction() as connection:
            due = await sweeps.due(connection, await store.now(connection))
        for integration_id in due:
            async with self._database.transaction() as connection:
                await sweeps.queue(connection, integration_id)
            self._loop.beat()

    async def _probe(self) -> None:
        async with self._database.transaction() as connection:
            await probe(connection, await store.now(connection))

    async def _queue_unplaced(self) -> None:
        """Requests that arrived while their integration was being added."""
        async with self._database.transaction() as connection:
            at = await store.now(connection)
            unplaced = (await connection.execute(_UNPLACED)).scalars().all()
            async with pipelined(connection) as pipeline:
                for integration_id in unplaced:
                    await requests.queue_pending(pipeline, integration_id, at)


async def heal(connection: AsyncConnection, integration_id: UUID) -> None:
    """Queue the days that are still missing, and note the attempts; and those whose questions are to be asked again."""
    at = await store.serialize(connection, integration_id)
    missing = (await coverage.missing(connection, at, [integration_id])).get(integration_id, [])
    questioned = (await questions.due(connection, at, integration_id)).get(integration_id, {})
    for found in heals(missing):
        await _take(connection, integration_id, found, at)
        await coverage.note_heal(connection, integration_id, found, at)
    for found in heals((day, 0) for day in questioned):
        await _take(connection, integration_id, found, at)
    await questions.note_asked(connection, integration_id, questioned, at)


async def _take(connection: AsyncConnection, integration_id: UUID, found: Heal, at: datetime) -> None:
    request_id = f"heal:{integration_id}:{found.days.first}:{found.days.last}:{found.attempt}:{rfc3339(at)}"
    async with pipelined(connection) as pipeline:
        await requests.take(pipeline, Request(request_id, Trigger.HEAL, found.days), integration_id, at)
    log.info("days.healing", request_id=request_id)
