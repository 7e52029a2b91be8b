"""Reads what was missed without anybody asking: queues the days that are not confirmed, and ends requests for nobody."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from common.database import Database
from common.errors import name_of
from common.kafka.publisher import Publisher
from common.loops import Loop
from common.watchdog import Watchdog
from contract.fields import Trigger, rfc3339
from contract.problems import Code
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer import coverage, questions, requests, store
from syncer.decisions import FailureDecision, Scope, decide_failure, publish
from syncer.domain import Days, Heal, heals
from syncer.refusals import probe
from syncer.requests import Request

log = structlog.get_logger()

UNKNOWN_FOR = timedelta(minutes=10)
"""A request for an integration that is still unknown then ends as `not_found`."""

_UNPLACED = text("""
    SELECT DISTINCT integration_id FROM requests JOIN integrations USING (integration_id)
    WHERE window_id IS NULL AND status = 'accepted'
""")

_END_UNKNOWN = text("""
    UPDATE requests r SET status = 'not_found'
    WHERE window_id IS NULL AND status = 'accepted' AND received_at < clock_timestamp() - :unknown_for
        AND NOT EXISTS (SELECT 1 FROM integrations i WHERE i.integration_id = r.integration_id)
""")

_NOT_FOUND = text("SELECT * FROM requests WHERE status = 'not_found' ORDER BY received_at LIMIT 1000")

_MARK_PUBLISHED = text("""
    UPDATE requests SET status = 'not_found_published' WHERE integration_id = :id AND request_id = :request_id
""")


class Healer:
    """Several processes may heal at once: the second one finds the days in an open window."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        watchdog: Watchdog,
        *,
        every: float,
        wake_worker: Callable[[], None],
    ) -> None:
        """`every`: seconds between rounds; `wake_worker`: there may be windows to read."""
        self._database = database
        self._publisher = publisher
        self._wake_worker = wake_worker
        self._loop = Loop("healer", watchdog, self.round, every=every)
        self.run = self._loop.run
        self.wake = self._loop.wake

    async def round(self) -> None:
        """Every step, whether or not the ones before it fail; the next round repeats those that do."""
        for step in (self._heal, self._probe, self._queue_unplaced, self._end_unknown):
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - the next round may find database and broker again
                log.warning("healer.failed", step=step.__name__, error=name_of(error))
            self._loop.beat()
        self._wake_worker()

    async def _heal(self) -> None:
        async with self._database.transaction() as connection:
            at = await store.now(connection)
            missing, due = await coverage.missing(connection, at), await questions.due(connection, at)
        for integration_id in {**missing, **due}:
            async with self._database.transaction() as connection:
                await heal(connection, integration_id)
            self._loop.beat()

    async def _probe(self) -> None:
        async with self._database.transaction() as connection:
            await probe(connection, await store.now(connection))

    async def _queue_unplaced(self) -> None:
        """Requests that arrived while their integration was being added."""
        async with self._database.transaction() as connection:
            at = await store.now(connection)
            for integration_id in (await connection.execute(_UNPLACED)).scalars().all():
                await requests.queue_pending(connection, integration_id, at)

    async def _end_unknown(self) -> None:
        """The end is stored before it is published: a crash between the two publishes it again."""
        async with self._database.transaction() as connection:
            await connection.execute(_END_UNKNOWN, {"unknown_for": UNKNOWN_FOR})
            rows = (await connection.execute(_NOT_FOUND)).all()
        for row in rows:
            await publish(_not_found(row), self._publisher)
            async with self._database.transaction() as connection:
                await connection.execute(_MARK_PUBLISHED, {"id": row.integration_id, "request_id": row.request_id})
            self._loop.beat()


async def heal(connection: AsyncConnection, integration_id: UUID) -> None:
    """Queue the days that are still missing, and note the attempts; and those whose questions are to be asked again."""
    await store.serialize(connection, integration_id)
    at = await store.now(connection)
    missing = (await coverage.missing(connection, at, integration_id)).get(integration_id, [])
    questioned = (await questions.due(connection, at, integration_id)).get(integration_id, {})
    for found in heals(missing):
        await _take(connection, integration_id, found, at)
        await coverage.note_heal(connection, integration_id, found, at)
    for found in heals((day, 0) for day in questioned):
        await _take(connection, integration_id, found, at)
    await questions.note_asked(connection, integration_id, questioned, at)


async def _take(connection: AsyncConnection, integration_id: UUID, found: Heal, at: datetime) -> None:
    request_id = f"heal:{integration_id}:{found.days.first}:{found.days.last}:{found.attempt}:{rfc3339(at)}"
    await requests.take(connection, Request(request_id, Trigger.HEAL, found.days), integration_id, at)
    log.info("days.healing", request_id=request_id)


def _not_found(row: Row[tuple[object, ...]]) -> FailureDecision:
    days = Days(row.first_day, row.last_day)
    scope = Scope(row.integration_id, None, Trigger(row.trigger), (row.request_id,), days)
    event_id = f"{row.integration_id}:{row.request_id}:{Code.NOT_FOUND.value}"
    return decide_failure(scope, Code.NOT_FOUND, event_id=event_id, at=row.received_at)
