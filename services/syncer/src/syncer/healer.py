"""Once a minute: days that were missed are queued, and what nobody will ask for again is put away."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import structlog
from common.consuming import name_of
from common.database import Database
from common.fields import Trigger
from common.kafka import Publisher
from common.messages import SyncFailed
from common.metrics import WAITING_FOR_KEY
from common.problems import Code
from common.progress import Progress
from common.topics import SYNC_OUTCOMES
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer import coverage, queue, store
from syncer.domain import heals
from syncer.queue import Request

log = structlog.get_logger()

NOBODY = UUID(int=0)
"""Window of a request that came for an integration that never became known."""
_LOCK = 7_205_759_404

_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")

_PARKED = text("""
    SELECT * FROM requests WHERE window_id IS NULL AND received_at < clock_timestamp() - interval '10 minutes'
    ORDER BY received_at LIMIT 1000
""")

_WAITING = text("""
    SELECT count(*) FROM windows w JOIN integrations i USING (integration_id)
    WHERE w.closed_at IS NULL AND w.decision IS NULL AND w.due_at < clock_timestamp() - interval '10 minutes'
        AND NOT EXISTS (SELECT 1 FROM credentials c WHERE c.integration_id = i.integration_id
            AND c.credential_version >= i.credential_version)
""")

_PUT_AWAY = (
    text("DELETE FROM windows WHERE closed_at < clock_timestamp() - interval '30 days'"),
    text("DELETE FROM requests WHERE received_at < clock_timestamp() - interval '30 days' AND window_id IS NOT NULL"),
    text("DELETE FROM raw_answers WHERE observed_at < clock_timestamp() - interval '90 days'"),
    text("DELETE FROM coverage WHERE day < current_date - 200"),
)


class Healer:
    """One round at a time among all processes; a second one passes."""

    def __init__(
        self, database: Database, publisher: Publisher, progress: Progress, *, every: float, wake: Callable[[], None]
    ) -> None:
        """`every`: seconds between rounds; `wake` tells the worker."""
        self._database = database
        self._publisher = publisher
        self._progress = progress
        self._every = every
        self._wake = wake

    async def run(self) -> None:
        self._progress.expect("healer", within=self._every + 40)
        while True:
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 - the next round may find the database again
                log.warning("healer.failed", error=name_of(error))
            self._progress.ended("healer")
            await asyncio.sleep(self._every)

    async def round(self) -> None:
        """Heal, end what was parked for too long, put away what is old."""
        async with self._database.transaction() as connection:
            if not (await connection.execute(_TRY_LOCK, {"lock": _LOCK})).scalar_one():
                return
            await self._heal(connection)
            await self._end_parked(connection)
            await self._count_waiting(connection)
            for statement in _PUT_AWAY:
                await connection.execute(statement)
        self._wake()

    async def _heal(self, connection: AsyncConnection) -> None:
        at = await store.now(connection)
        for integration_id, days in (await coverage.missing(connection, at)).items():
            for heal in heals(days):
                request_id = f"heal:{integration_id}:{heal.days.first}:{heal.days.last}:{heal.attempt}"
                await queue.take(connection, Request(request_id, Trigger.HEAL, heal.days), integration_id, at)
                await coverage.note_heal(connection, integration_id, heal, at)
                log.info("days.healing", request_id=request_id)

    async def _end_parked(self, connection: AsyncConnection) -> None:
        for row in (await connection.execute(_PARKED)).all():
            event_id = f"{row.integration_id}:{row.request_id}:{Code.NOT_FOUND.value}"
            key, at = str(row.integration_id), _received(row)
            await self._publisher.publish(SYNC_OUTCOMES, _not_found(row), key=key, event_id=event_id, at=at)
            await connection.execute(
                text("UPDATE requests SET window_id = :nobody WHERE integration_id = :id AND request_id = :request_id"),
                {"nobody": NOBODY, "id": row.integration_id, "request_id": row.request_id},
            )

    async def _count_waiting(self, connection: AsyncConnection) -> None:
        waiting: int = (await connection.execute(_WAITING)).scalar_one()
        WAITING_FOR_KEY.set(waiting)
        if waiting:
            log.warning("windows.waiting_for_key", windows=waiting)


def _received(row: Row[tuple[object, ...]]) -> datetime:
    received: datetime = row.received_at
    return received


def _not_found(row: Row[tuple[object, ...]]) -> SyncFailed:
    return SyncFailed(
        integration_id=row.integration_id,
        trigger=Trigger(row.trigger),
        request_ids=(row.request_id,),
        first_day=row.first_day,
        last_day=row.last_day,
        code=Code.NOT_FOUND,
        final=True,
        attempts=0,
    )
