"""The syncer on a real database, between a scripted provider and a publisher that only records; statements move the time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from common.database import Database
from common.leases import LeasedWorker
from common.watchdog import Watchdog
from contract.cloudevents import Event
from contract.fields import Trigger
from contract.messages import IntegrationChanged, IntegrationState, SyncFailed, WindowRead
from contract.tracing import traceparent
from sqlalchemy import Row, text
from syncer import store
from syncer.attempt import Attempt
from syncer.decide import decide
from syncer.decisions import publish
from syncer.domain import Days
from syncer.handlers import Handlers
from syncer.healer import Healer
from syncer.housekeeping import Housekeeping
from syncer.leases import Claim
from syncer.request_ends import RequestEnds
from syncer.teams import bucket
from syncer.worker import WindowQueue, make_worker
from syncer.xai.pacing import CallLimits

from tests.support.fakes import Published, RecordingPublisher
from tests.support.messages import credential_sealed, integration_changed, integration_removed, sync_requested
from tests.support.waiting import until
from tests.syncer.support.claims import claim_one
from tests.syncer.support.provider import FakeProvider

TABLES = "integrations, teams, credentials, requests, windows, coverage, raw_answers, known_days, questions"

_BUSY = """
    SELECT 1 FROM windows w JOIN integrations i USING (integration_id) JOIN teams t USING (team_id)
        LEFT JOIN credentials c USING (integration_id)
    WHERE i.lease IS NOT NULL OR (w.closed_at IS NULL AND (w.decision IS NOT NULL OR i.removed
        OR (w.due_at <= clock_timestamp() AND (i.retry_after IS NULL OR i.retry_after <= clock_timestamp())
            AND t.full_at <= clock_timestamp() + :slack AND c.credential_version >= i.credential_version)))
"""


class SyncerHarness:
    """What a test sees and does."""

    def __init__(self, database: Database, owner: Database) -> None:
        self.database = database
        self._owner = owner
        self.publisher = RecordingPublisher("syncer")
        self.xai = FakeProvider()
        self.limits = CallLimits(clock=lambda: self.clock)
        self.clock = 0
        self._workers: list[LeasedWorker[Claim]] = []
        self.healer = Healer(database, Watchdog(), every=60, wake_worker=self.wake)
        self.request_ends = RequestEnds(database, self.publisher, Watchdog())
        self.housekeeping = Housekeeping(database, Watchdog(), every=60)
        self.handlers = Handlers(database, self.wake, self.healer.wake)

    def wake(self) -> None:
        for worker in self._workers:
            worker.wake()

    async def sql(self, statement: str, **values: object) -> list[Row[Any]]:
        """As the role that owns everything."""
        async with self._owner.transaction() as connection:
            result = await connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    async def clear(self) -> None:
        await self.sql(f"TRUNCATE {TABLES}")

    async def today(self) -> date:
        """By the database's clock."""
        async with self.database.transaction() as connection:
            return (await store.now(connection)).date()

    async def recent(self) -> Days:
        """Days that are readable, also if midnight passes."""
        today = await self.today()
        return Days(today - timedelta(days=7), today)

    # messages of the connector

    async def announce(self, state: IntegrationState) -> None:
        await self.handlers.integration(Event(state, "any", datetime.now(UTC), traceparent.get()))

    async def seal(self, integration_id: UUID, version: int = 1, wrap: int = 1) -> None:
        envelope = {"format": "obviously-fake", "wrap": str(wrap)}
        sealed = credential_sealed(integration_id, credential_version=version, wrap_version=wrap, envelope=envelope)
        await self.handlers.credential(Event(sealed, "any", datetime.now(UTC)))

    async def integration(self, **fields: object) -> UUID:
        """A known integration with its key, and nothing queued."""
        state = await self.state(uuid4(), **fields)
        async with self.database.pipeline() as pipeline:
            await store.save_integration(pipeline, state)
        await self.seal(state.integration_id)
        return state.integration_id

    async def state(self, integration_id: UUID, **fields: object) -> IntegrationChanged:
        return integration_changed(integration_id, **await self._dated(fields))

    async def remove(self, integration_id: UUID, **fields: object) -> None:
        await self.announce(integration_removed(integration_id, **await self._dated(fields)))

    async def _dated(self, fields: dict[str, object]) -> dict[str, object]:
        added = datetime(2026, 1, 1, tzinfo=UTC)
        history_from = await self.today() - timedelta(days=89)
        return {"added_at": added, "changed_at": added, "history_from": history_from} | fields

    # requests

    async def ask(
        self,
        integration_id: UUID | None,
        trigger: Trigger = Trigger.FORCE,
        days: Days | None = None,
        **fields: Any,
    ) -> str:
        """Answers the request's ID."""
        dates = {"first_day": days.first, "last_day": days.last} if days else {}
        request = sync_requested(integration_id, trigger=trigger, **dates, **fields)
        await self.handlers.sync_requested(Event(request, "any", datetime.now(UTC), traceparent.get()))
        return request.request_id

    # workers

    @property
    def attempt(self) -> Attempt:
        return self.attempt_of(1)

    def attempt_of(self, in_flight: int) -> Attempt:
        services = (self.database, self.publisher, self.xai, self.limits)
        return Attempt(*services, in_flight=in_flight, chance=lambda: 0.0)

    @asynccontextmanager
    async def working(self, *, workers: int = 1, in_flight: int = 4) -> AsyncIterator[None]:
        for _ in range(workers):
            queue = WindowQueue(self.database, self.attempt_of(in_flight), "")
            self._workers.append(make_worker(queue, Watchdog(), in_flight=in_flight))
        tasks = [asyncio.create_task(worker.run()) for worker in self._workers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._workers.clear()

    async def release_owner(self, name: str) -> None:
        """A process of this name starts again."""
        await WindowQueue(self.database, self.attempt, name).release_owner()

    async def settle(self, *, workers: int = 1, in_flight: int = 4) -> None:
        """Let the workers do all that is due."""
        async with self.working(workers=workers, in_flight=in_flight):
            slack = bucket(self.limits.per_team)["slack"]
            await until(lambda: self.sql(_BUSY, slack=slack), lambda rows: not rows)

    async def crash_after_publishing(self, records: int) -> set[Published]:
        """A process reads the due window, publishes so many of its records, and dies; answers all of its records."""
        claim = await claim_one(self.attempt, "another")
        assert claim is not None
        assert claim.credential is not None
        reading = await self.xai.read(claim.team_id, claim.credential, claim.days)
        async with self.database.transaction() as connection:
            decision = await decide(connection, claim, reading, 0.0)
        assert decision is not None
        whole = RecordingPublisher("syncer")
        await publish(decision, whole)
        self.publisher.published += whole.published[:records]
        return set(whole.published)

    # time

    async def make_all_due(self) -> None:
        """The pauses between attempts are over."""
        await self.sql("UPDATE windows SET due_at = clock_timestamp() WHERE closed_at IS NULL")
        await self.sql("UPDATE integrations SET retry_after = NULL")
        self.wake()

    async def age_questions(self, pause: timedelta) -> None:
        """So much time passes for the questions."""
        await self.sql(
            """UPDATE questions SET asked_at = asked_at - CAST(:pause AS interval),
                answered_at = answered_at - CAST(:pause AS interval),
                believed_from = believed_from - CAST(:pause AS interval),
                ask_again_at = ask_again_at - CAST(:pause AS interval)""",
            pause=pause,
        )

    async def expire_leases(self) -> None:
        await self.sql("UPDATE integrations SET lease_until = clock_timestamp() - interval '1 second'")
        await self.sql("UPDATE teams SET lease_until = clock_timestamp() - interval '1 second' WHERE lease IS NOT NULL")

    # what was published, and what is stored

    def failures(self) -> list[SyncFailed]:
        return self.publisher.messages("SyncFailed")

    def readings(self) -> list[WindowRead]:
        return self.publisher.messages("WindowRead")

    async def windows(self) -> list[Row[Any]]:
        return await self.sql("SELECT * FROM windows ORDER BY last_day DESC, created_at")

    async def window(self) -> Row[Any]:
        (window,) = await self.windows()
        return window

    async def requests(self) -> list[Row[Any]]:
        return await self.sql("SELECT * FROM requests ORDER BY received_at, request_id")

    async def row_of(self, integration_id: UUID) -> Row[Any]:
        (row,) = await self.sql("SELECT * FROM integrations WHERE integration_id = :id", id=integration_id)
        return row
