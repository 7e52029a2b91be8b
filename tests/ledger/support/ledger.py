"""The ledger on a real database; the broker is a list of what was published."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from aiokafka import ConsumerRecord
from common.database import Database
from common.errors import TransientError
from common.kafka.failure_policy import MAX_TRIES, FailurePolicy, RetryLaterError
from common.watchdog import Watchdog
from contract.cloudevents import Event
from contract.fields import History, Status
from contract.messages import CostRecorded, IntegrationChanged, Message, WindowRead
from contract.topics import COSTS
from ledger.handlers import Handlers
from sqlalchemy import text

from tests.support import messages
from tests.support.fakes import RecordingDeadLetters, RecordingPublisher, no_pause
from tests.support.messages import cost_recorded, integration_changed, window_read

OTHER_ACCOUNT = "account-2"
FIRST = date(2026, 11, 1)
OFFSETS = count(100)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
REMOVED = {"version": 2, "status": Status.REMOVED, "history": History.KEEP, "removed_at": NOON}
ERASED = REMOVED | {"history": History.ERASE}
Costs = Mapping[date, Mapping[str, str]]
"""US dollars by day and label."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The messages of a reading."""

    reading_id: UUID
    observed_at: datetime
    days: tuple[CostRecorded, ...]
    window: WindowRead

    @property
    def messages(self) -> tuple[CostRecorded | WindowRead, ...]:
        """All of them, in the order in which the syncer publishes them."""
        return *self.days, self.window


class LedgerHarness:
    def __init__(self, database: Database, owner: Database) -> None:
        self.database = database
        self.owner = owner
        self.publisher = RecordingPublisher()
        self.dead_letters = RecordingDeadLetters()
        self.handlers = Handlers(database, self.publisher)
        self.policy = FailurePolicy(COSTS, self.dead_letters, Watchdog(), pause=no_pause)

    async def clear(self) -> None:
        await self.sql("TRUNCATE integrations, days, label_lists, day_revisions, outcomes, erased")

    async def sql(self, statement: str, **values: object) -> list[Any]:
        """As the owner."""
        async with self.owner.transaction() as connection:
            result = await connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    async def receive(self, *messages: Message | ConsumerRecord) -> None:
        """One batch, delivered as often as the consumer retries a record."""
        records = [one if isinstance(one, ConsumerRecord) else record_of(one) for one in messages]
        for _ in range(MAX_TRIES):
            try:
                await self.policy.consume(records, self.handlers.costs)
            except RetryLaterError as error:
                if error.__cause__:
                    raise error.__cause__ from None
            else:
                return
        raise TransientError("not done after all tries")

    async def record(self, integration_id: UUID, costs: Costs, *, observed_at: datetime = NOON) -> Reading:
        """Receive the days of a reading, without its window."""
        reading = reading_of(integration_id, costs, observed_at=observed_at)
        await self.receive(*reading.days)
        return reading

    async def add(self, integration_id: UUID, **changes: Any) -> None:
        await self.handlers.integration(event_of_state(integration_id, **changes))

    @property
    def outcomes(self) -> list[Any]:
        """The messages that were published."""
        return [one.message for one in self.publisher.published]

    async def figures(self) -> list[Any]:
        return await self.sql(
            """SELECT integration_id, day, usd, costs_of(labels_id, amounts) AS costs, reading_id, observed_at
            FROM days ORDER BY 1, 2"""
        )

    async def revisions(self) -> list[Any]:
        return await self.sql(
            """SELECT day, usd, said_since AS valid_from, said_until AS valid_to, reading_id, replaced_by
            FROM day_revisions ORDER BY day, said_since"""
        )


def event_of_state(integration_id: UUID, **changes: Any) -> Event[IntegrationChanged]:
    state = integration(integration_id, **changes)
    return Event(state, f"{integration_id}:{state.version}", NOON)


def integration(integration_id: UUID, **changes: Any) -> IntegrationChanged:
    fields = {"added_at": datetime(2026, 10, 1, tzinfo=UTC), "history_from": FIRST, "changed_at": NOON}
    return integration_changed(integration_id, **fields | changes)


def reading_of(
    integration_id: UUID, costs: Costs, *, observed_at: datetime = NOON, cut: Iterable[date] = ()
) -> Reading:
    """The messages of a reading of `costs`; days of `cut` belong to its window and were not read."""
    reading: dict[str, Any] = {"reading_id": uuid4(), "observed_at": observed_at}
    days = tuple(cost_recorded(integration_id, labels, day=day, **reading) for day, labels in sorted(costs.items()))
    every = sorted([*costs, *cut])
    window = window_read(
        *days,
        integration_id=integration_id,
        first_day=every[0],
        last_day=every[-1],
        request_ids=("request-1",),
        **reading,
    )
    return Reading(reading["reading_id"], observed_at, days, window)


def record_of(message: Message, **replaced: Any) -> ConsumerRecord:
    """The record of the topic of costs that carries `message`."""
    return messages.record_of(COSTS, message, at=NOON, **{"offset": next(OFFSETS)} | replaced)


def event_of(message: Message) -> Event[Any]:
    return Event(message, str(uuid4()), NOON)


def later(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)
