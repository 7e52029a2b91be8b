"""The syncer on a real database, between a stand-in for xAI and a publisher that remembers; time passes by statement."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from common.database import Database
from common.watchdog import Watchdog
from contract.cloudevents import Event
from contract.fields import Plan, Status, Trigger
from contract.messages import CredentialSealed, IntegrationChanged, IntegrationRemoved, SyncRequested
from sqlalchemy import Row, text
from syncer import outcomes, store, windows
from syncer.decisions import publish
from syncer.domain import Days
from syncer.handlers import Handlers
from syncer.healer import Healer
from syncer.worker import Worker
from syncer.xai.pacing import Pace

from tests.syncer.support.fakes import FakeXai, Published, RecordingPublisher

ACCOUNT = "account-1"
DEADLINE = 10.0


class World:
    """What a test sees and does."""

    def __init__(self, database: Database, admin: Database) -> None:
        self.database = database
        self._admin = admin
        self.publisher = RecordingPublisher()
        self.xai = FakeXai()
        self.pace = Pace(clock=lambda: self.clock)
        self.clock = 0
        self._workers: list[Worker] = []
        self.healer = Healer(database, self.publisher, Watchdog(), every=60, wake=self.wake)
        self.handlers = Handlers(database, self.wake, self.healer.hurry)

    def wake(self) -> None:
        for worker in self._workers:
            worker.wake()

    async def sql(self, statement: str, **values: object) -> list[Row[Any]]:
        """Whatever a test must arrange or see, as the role that owns everything."""
        async with self._admin.transaction() as connection:
            result = await connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    async def today(self) -> date:
        """By the database's clock."""
        async with self.database.transaction() as connection:
            return (await store.now(connection)).date()

    async def recent(self) -> Days:
        """Days that are readable, also if midnight passes."""
        today = await self.today()
        return Days(today - timedelta(days=7), today)

    # what the connector says

    async def announce(self, state: IntegrationChanged | IntegrationRemoved) -> None:
        await self.handlers.integration(Event(state, "any", datetime.now(UTC)))

    async def seal(self, integration_id: UUID, version: int = 1, wrap: int = 1) -> None:
        sealed = CredentialSealed(
            integration_id=integration_id,
            account_id=ACCOUNT,
            credential_version=version,
            wrap_version=wrap,
            envelope={"format": "obviously-fake", "wrap": str(wrap)},
        )
        await self.handlers.credential(Event(sealed, "any", datetime.now(UTC)))

    async def integration(self, **fields: object) -> UUID:
        """An integration that is known and has its key, and nothing queued."""
        state = await self.state(uuid4(), **fields)
        async with self.database.transaction() as connection:
            await store.save_integration(connection, state)
        await self.seal(state.integration_id)
        return state.integration_id

    async def state(self, integration_id: UUID, **fields: object) -> IntegrationChanged:
        added = datetime(2026, 1, 1, tzinfo=UTC)
        default = {
            "integration_id": integration_id,
            "account_id": ACCOUNT,
            "team_id": f"team-of-{integration_id}",
            "label": "Sample",
            "plan": Plan.PRO,
            "status": Status.ACTIVE,
            "version": 1,
            "credential_version": 1,
            "added_at": added,
            "changed_at": added,
            "history_from": await self.today() - timedelta(days=89),
        }
        return IntegrationChanged.model_validate(default | fields)

    async def remove(self, integration_id: UUID, version: int = 2, **fields: object) -> None:
        state = await self.state(
            integration_id, status=Status.REMOVED, version=version, **({"history": "keep"} | fields)
        )
        await self.announce(IntegrationRemoved.model_validate(state.model_dump()))

    # what people and programs ask for

    async def ask(
        self,
        integration_id: UUID | None,
        trigger: Trigger = Trigger.FORCE,
        days: Days | None = None,
        *,
        request_id: str = "",
        requested_at: datetime | None = None,
        recorded_at: datetime | None = None,
    ) -> str:
        now = datetime.now(UTC)
        wish = SyncRequested(
            request_id=request_id or str(uuid4()),
            trigger=trigger,
            integration_id=integration_id,
            first_day=days.first if days else None,
            last_day=days.last if days else None,
            requested_at=requested_at or now,
        )
        await self.handlers.sync_requested(Event(wish, "any", recorded_at or now))
        return wish.request_id

    # the workers

    def worker(self, *, in_flight: int = 4) -> Worker:
        worker = Worker(
            self.database, self.publisher, self.xai, Watchdog(), self.pace, in_flight=in_flight, chance=lambda: 0.0
        )
        self._workers.append(worker)
        return worker

    @asynccontextmanager
    async def working(self, *, workers: int = 1, in_flight: int = 4) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.worker(in_flight=in_flight).run()) for _ in range(workers)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            self._workers.clear()

    async def settle(self, *, workers: int = 1, in_flight: int = 4) -> None:
        """Let the workers do all that is due."""
        async with self.working(workers=workers, in_flight=in_flight):
            await self.until(self._is_idle)

    async def dies_after_publishing(self, records: int) -> set[Published]:
        """A process reads the due window, gets so many of its records to the broker, and is gone with its lease."""
        async with self.database.transaction() as connection:
            claim = await windows.claim(connection, "another")
        assert claim is not None
        assert claim.credential is not None
        answer = await self.xai.read(claim.team_id, claim.credential, claim.days)
        async with self.database.transaction() as connection:
            decision = await outcomes.reading(connection, claim, claim.credential, answer)
        assert decision is not None
        whole = RecordingPublisher()
        await publish(decision, whole)
        self.publisher.records += whole.records[:records]
        return set(whole.records)

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not await condition():
                await asyncio.sleep(0.01)

    async def _is_idle(self) -> bool:
        rows = await self.sql("""
            SELECT 1 FROM windows w JOIN integrations i USING (integration_id)
            LEFT JOIN credentials c USING (integration_id) WHERE i.lease IS NOT NULL
            OR (w.closed_at IS NULL AND (w.decision IS NOT NULL OR i.removed
                OR (w.due_at <= clock_timestamp()
                    AND (i.retry_after IS NULL OR i.retry_after <= clock_timestamp())
                    AND c.credential_version >= i.credential_version)))""")
        return not rows

    # time

    async def all_is_due(self) -> None:
        """The pauses between attempts are over."""
        await self.sql("UPDATE windows SET due_at = clock_timestamp() WHERE closed_at IS NULL")
        await self.sql("UPDATE integrations SET retry_after = NULL")
        self.wake()

    async def leases_run_out(self) -> None:
        await self.sql("UPDATE integrations SET lease_until = clock_timestamp() - interval '1 second'")

    # what stands in the database

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
