"""Once a minute: days that were missed are queued, and what nobody will ask for again is put away."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import structlog
from common.database import Database
from common.errors import name_of
from common.kafka.publisher import Publisher
from common.metrics import WAITING_FOR_KEY
from common.wakeup import Wakeup
from common.watchdog import Watchdog
from contract.fields import Trigger, rfc3339
from contract.messages import SyncFailed
from contract.problems import Code
from contract.topics import SYNC_OUTCOMES
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer import coverage, requests, store
from syncer.domain import LONGEST_PAUSE, heals
from syncer.refusals import probe
from syncer.requests import Request
from syncer.windows import LEASE_SECONDS

log = structlog.get_logger()

NOT_FOUND, TOLD = UUID(int=0), UUID(int=1)
"""Windows of a request whose integration never became known: it ends, and that was published."""

_STRAYS = text(
    "SELECT DISTINCT integration_id FROM requests JOIN integrations USING (integration_id) WHERE window_id IS NULL"
)

_END_PARKED = text("""
    UPDATE requests r SET window_id = :not_found
    WHERE window_id IS NULL AND received_at < clock_timestamp() - interval '10 minutes'
        AND NOT EXISTS (SELECT 1 FROM integrations i WHERE i.integration_id = r.integration_id)
""")

_ENDED = text("SELECT * FROM requests WHERE window_id = :not_found ORDER BY received_at LIMIT 1000")

_TOLD = text("UPDATE requests SET window_id = :told WHERE integration_id = :id AND request_id = :request_id")

_WAITING = text("""
    SELECT count(*) FROM windows w JOIN integrations i USING (integration_id)
    WHERE w.closed_at IS NULL AND w.decision IS NULL AND w.due_at < clock_timestamp() - interval '10 minutes'
        AND NOT EXISTS (SELECT 1 FROM credentials c WHERE c.integration_id = i.integration_id
            AND c.credential_version >= i.credential_version)
""")

# What was due or leased "until" an instant that the clock has stepped back from would wait for it once more. No lease and no
# pause of ours is as long; what xAI asked for stands beside it, on the integration, and is kept.
_STEPPED_BACK = (
    text("""UPDATE integrations SET lease_until = clock_timestamp() + make_interval(secs => :lease) WHERE integration_id IN (
            SELECT integration_id FROM integrations WHERE lease_until > clock_timestamp() + make_interval(secs => :lease)
            ORDER BY integration_id FOR UPDATE SKIP LOCKED)"""),
    text("""UPDATE windows SET due_at = clock_timestamp(), created_at = least(created_at, clock_timestamp())
            WHERE closed_at IS NULL AND decision IS NULL AND due_at > clock_timestamp() AND (created_at > clock_timestamp()
            OR due_at > greatest(clock_timestamp() + make_interval(secs => :pause), (SELECT i.retry_after
                FROM integrations i WHERE i.integration_id = windows.integration_id)))"""),
)

_PUT_AWAY = (
    text("DELETE FROM windows WHERE closed_at < clock_timestamp() - interval '30 days'"),
    text("""DELETE FROM requests r WHERE received_at < clock_timestamp() - interval '30 days' AND window_id IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM windows w WHERE w.window_id = r.window_id AND w.closed_at IS NULL)"""),
    text("DELETE FROM raw_answers WHERE observed_at < clock_timestamp() - interval '90 days'"),
    text("DELETE FROM coverage WHERE day < current_date - 200"),
)
SAYS_EVERY = 10.0
"""Seconds between two signs of life while it waits."""


class Healer:
    """Several processes may heal at once: the second one finds the days in an open window."""

    def __init__(
        self, database: Database, publisher: Publisher, watchdog: Watchdog, *, every: float, wake: Callable[[], None]
    ) -> None:
        """`every`: seconds between rounds; `wake` tells the worker."""
        self._database = database
        self._publisher = publisher
        self._watchdog = watchdog
        self._every = every
        self._wake = wake
        self._wakeup = Wakeup()

    def hurry(self) -> None:
        """Days may be missing that can be read now: look now."""
        self._wakeup.wake()

    async def run(self) -> None:
        self._watchdog.register("healer")
        while True:
            self._wakeup.clear()
            await self.round()
            self._watchdog.beat("healer")
            await self._rest()

    async def _rest(self) -> None:
        """Until the next round; who waits is not stuck."""
        left = self._every
        while left > 0 and not await self._wakeup.wait(min(left, SAYS_EVERY)):
            left -= SAYS_EVERY
            self._watchdog.beat("healer")

    async def round(self) -> None:
        """Heal, end what was parked for too long, put away what is old; what fails is tried again in the next round."""
        for step in (
            self._step_back,
            self._heal,
            self._probe,
            self._place_strays,
            self._end_parked,
            self._count_waiting,
            self._put_away,
        ):
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - the next round may find database and broker again
                log.warning("healer.failed", step=step.__name__, error=name_of(error))
            self._watchdog.beat("healer")
        self._wake()

    async def _step_back(self) -> None:
        """Where the database's clock stepped back, what waits does not wait for the time to pass twice."""
        limits = {"lease": LEASE_SECONDS, "pause": LONGEST_PAUSE.total_seconds()}
        async with self._database.transaction() as connection:
            for statement in _STEPPED_BACK:
                await connection.execute(statement, limits)

    async def _heal(self) -> None:
        async with self._database.transaction() as connection:
            at = await store.now(connection)
            missing = await coverage.missing(connection, at)
        for integration_id in missing:
            async with self._database.transaction() as connection:
                await heal(connection, integration_id)
            self._watchdog.beat("healer")

    async def _probe(self) -> None:
        async with self._database.transaction() as connection:
            await probe(connection, await store.now(connection))

    async def _place_strays(self) -> None:
        async with self._database.transaction() as connection:
            at = await store.now(connection)
            for integration_id in (await connection.execute(_STRAYS)).scalars().all():
                await requests.place_parked(connection, integration_id, at)

    async def _end_parked(self) -> None:
        """First it stands that a request ends, then it is told: a crash between the two tells it again."""
        async with self._database.transaction() as connection:
            await connection.execute(_END_PARKED, {"not_found": NOT_FOUND})
            rows = (await connection.execute(_ENDED, {"not_found": NOT_FOUND})).all()
        for row in rows:
            event_id = f"{row.integration_id}:{row.request_id}:{Code.NOT_FOUND.value}"
            key, at = str(row.integration_id), _received(row)
            await self._publisher.publish(SYNC_OUTCOMES, _not_found(row), key=key, event_id=event_id, at=at)
            async with self._database.transaction() as connection:
                values = {"told": TOLD, "id": row.integration_id, "request_id": row.request_id}
                await connection.execute(_TOLD, values)
            self._watchdog.beat("healer")

    async def _count_waiting(self) -> None:
        async with self._database.transaction() as connection:
            waiting: int = (await connection.execute(_WAITING)).scalar_one()
        WAITING_FOR_KEY.set(waiting)
        if waiting:
            log.warning("windows.waiting_for_key", windows=waiting)

    async def _put_away(self) -> None:
        for statement in _PUT_AWAY:
            async with self._database.transaction() as connection:
                await connection.execute(statement)


async def heal(connection: AsyncConnection, integration_id: UUID) -> None:
    """Queue the readings of the days that are missing still, and note the attempts. A day may be missed more than once."""
    await store.serialize(connection, integration_id)
    at = await store.now(connection)
    missing = await coverage.missing(connection, at, integration_id)
    for found in heals(missing.get(integration_id, [])):
        request_id = f"heal:{integration_id}:{found.days.first}:{found.days.last}:{found.attempt}:{rfc3339(at)}"
        await requests.take(connection, Request(request_id, Trigger.HEAL, found.days), integration_id, at)
        await coverage.note_heal(connection, integration_id, found, at)
        log.info("days.healing", request_id=request_id)


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
