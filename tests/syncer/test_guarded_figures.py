"""Syncer and ledger together: whatever hiccups the provider has, the ledger ends with its figures, and shows no hiccup."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

import pytest
from common.database import Database, make_engine
from common.migrations import migrate
from contract.cloudevents import Event
from contract.fields import Trigger
from contract.messages import Cost, CostRecorded, WindowRead
from ledger.handlers import Handlers
from pydantic import SecretStr
from sqlalchemy import Row, text
from syncer.domain import Days
from syncer.provider import RawAnswer, Reading

from tests.support.fakes import RecordingPublisher
from tests.syncer.support.provider import RAW, FakeProvider, dates_of
from tests.syncer.support.syncer import SyncerHarness
from tests.syncer.support.team import LIES, Costs, Lie

MODELS = ("grok-4", "grok-4-fast", "grok-code")
PAUSES = (timedelta(minutes=15), timedelta(hours=6), timedelta(hours=24))


@dataclass
class Provider(FakeProvider):
    """Has costs for good, and may answer something else."""

    costs: dict[date, Costs] = field(default_factory=dict)
    lie: Lie | None = None

    async def _answer(self, days: Days) -> Reading:
        parts = (RawAnswer(days.first, days.last, RAW),)
        return Reading(days.first, days.last, {day: self._day(day) for day in dates_of(days)}, frozenset(), parts)

    def _day(self, day: date) -> tuple[Cost, ...]:
        costs = self.lie(day, self.costs[day]) if self.lie else self.costs[day]
        return tuple(Cost(label=f"Chat {model}", model=model, usd=usd) for model, usd in sorted(costs.items()))


class Figures:
    """A syncer whose records a ledger handles, and whose questions age at once."""

    def __init__(self, syncer: SyncerHarness, ledger: Database, provider: Provider) -> None:
        self.syncer = syncer
        self.provider = provider
        self._ledger = ledger
        self._outcomes = RecordingPublisher("ledger")
        self._handlers = Handlers(ledger, self._outcomes)
        syncer.xai = provider

    async def read(self, integration_id: UUID, days: Days) -> None:
        await self.syncer.ask(integration_id, Trigger.FORCE, days)
        await self._deliver()

    async def heal_after(self, pause: timedelta) -> None:
        await self.syncer.age_questions(pause)
        await self.syncer.healer.round()
        await self._deliver()

    async def _deliver(self) -> None:
        await self.syncer.settle()
        at = datetime.now(UTC)
        records = [one.message for one in self.syncer.publisher.published]
        costs = [Event(one, "any", at) for one in records if isinstance(one, CostRecorded | WindowRead)]
        await self._handlers.costs(costs)
        for outcome in self._outcomes.messages("SyncCompleted"):
            assert outcome.reconciled
            await self.syncer.handlers.sync_completed(Event(outcome, "any", at))
        self.syncer.publisher.published.clear()
        self._outcomes.published.clear()

    async def shown(self, integration_id: UUID) -> dict[date, Costs]:
        rows = await self._rows(
            "SELECT day, costs_of(labels_id, amounts) AS costs FROM days WHERE integration_id = :id", integration_id
        )
        return {row.day: {cost["model"]: Decimal(cost["usd"]) for cost in row.costs} for row in rows}

    async def revisions(self, integration_id: UUID) -> int:
        return len(await self._rows("SELECT 1 FROM day_revisions WHERE integration_id = :id", integration_id))

    async def _rows(self, statement: str, integration_id: UUID) -> list[Row[tuple[object, ...]]]:
        async with self._ledger.transaction() as connection:
            return list(await connection.execute(text(statement), {"id": integration_id}))


@pytest.fixture
async def ledger(postgres: str) -> AsyncIterator[Database]:
    migrate(SecretStr(postgres), "ledger")
    database = Database(make_engine(SecretStr(postgres), schema="ledger"))
    yield database
    await database.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_ledger_ends_with_the_figures_of_the_provider_and_shows_no_hiccup(
    syncer: SyncerHarness, ledger: Database, seed: int
) -> None:
    random, days = Random(seed), await syncer.recent()

    def costs() -> Costs:
        return {model: Decimal(random.randint(1, 800)) / 10 for model in random.sample(MODELS, random.randint(1, 3))}

    figures = Figures(syncer, ledger, Provider(costs={day: costs() for day in dates_of(days)}))
    integration_id, restated = await syncer.integration(history_from=days.first), 0
    await figures.read(integration_id, days)
    for _ in range(4):
        before = await figures.shown(integration_id)
        figures.provider.lie = random.choice(LIES)
        await figures.read(integration_id, Days(days.first, days.last - timedelta(days=1)))
        assert await figures.shown(integration_id) == before
        figures.provider.lie = None
        await figures.heal_after(PAUSES[0])
        assert await figures.shown(integration_id) == before

        restated += 1
        figures.provider.costs[random.choice(dates_of(days))] = costs()
        await figures.read(integration_id, days)
        for pause in PAUSES:
            await figures.heal_after(pause)
        assert await figures.shown(integration_id) == figures.provider.costs

    assert await figures.revisions(integration_id) <= restated
    assert await syncer.sql("SELECT 1 FROM questions") == []
