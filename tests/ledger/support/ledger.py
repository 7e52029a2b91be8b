"""The ledger on a real database; the broker is a list of what was published."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from aiokafka import ConsumerRecord
from common.database import Database
from contract.cloudevents import Event, MalformedError, headers_of
from contract.fields import History, Plan, Status, Trigger
from contract.messages import Cost, CostRecorded, IntegrationChanged, Message, WindowRead
from contract.money import total
from ledger.handlers import Handlers
from sqlalchemy import text

ACCOUNT, OTHER_ACCOUNT = "account-1", "account-2"
FIRST = date(2026, 11, 1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
REMOVED = {"version": 2, "status": Status.REMOVED, "history": History.KEEP, "removed_at": NOON}
ERASED = REMOVED | {"history": History.ERASE}
Costs = Mapping[date, Mapping[str, str]]
"""US dollars by day and label."""


@dataclass(frozen=True, slots=True)
class Published:
    message: Any
    key: str
    event_id: str


class RecordingPublisher:
    def __init__(self) -> None:
        self.published: list[Published] = []
        self.unavailable = False

    async def publish(self, _topic: object, message: Message, *, key: str, event_id: str, at: datetime) -> None:
        assert at.tzinfo is not None
        if self.unavailable:
            raise ConnectionError("the broker is unavailable")
        self.published.append(Published(message, key, event_id))


class RecordingDeadLetters:
    def __init__(self) -> None:
        self.written: list[tuple[ConsumerRecord, MalformedError]] = []

    async def put(self, record: ConsumerRecord, _topic: object, error: MalformedError, *, attempts: int = 1) -> None:
        assert attempts == 1
        self.written.append((record, error))

    @property
    def reasons(self) -> list[tuple[int, str]]:
        """Offset and reason of each."""
        return [(record.offset, error.reason) for record, error in self.written]


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
        self._owner = owner
        self.publisher = RecordingPublisher()
        self.dead_letters = RecordingDeadLetters()
        self.handlers = Handlers(database, self.publisher, self.dead_letters)  # type: ignore[arg-type]  # same methods

    async def clear(self) -> None:
        await self.sql("TRUNCATE integrations, days, day_revisions, outcomes, erased")

    async def sql(self, statement: str, **values: object) -> list[Any]:
        """As the owner."""
        async with self._owner.transaction() as connection:
            result = await connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    async def receive(self, *messages: Message | ConsumerRecord) -> None:
        """One batch."""
        await self.handlers.costs([one if isinstance(one, ConsumerRecord) else record_of(one) for one in messages])

    async def record(self, integration_id: UUID, costs: Costs, *, observed_at: datetime = NOON) -> Reading:
        """Receive the days of a reading, without its window."""
        reading = reading_of(integration_id, costs, observed_at=observed_at)
        await self.receive(*reading.days)
        return reading

    async def add(self, integration_id: UUID, **changes: Any) -> None:
        state = integration(integration_id, **changes)
        await self.handlers.integration(Event(state, f"{integration_id}:{state.version}", NOON))

    @property
    def outcomes(self) -> list[Any]:
        """The messages that were published."""
        return [one.message for one in self.publisher.published]

    async def figures(self) -> list[Any]:
        return await self.sql("SELECT integration_id, day, usd, costs, reading_id, observed_at FROM days ORDER BY 1, 2")

    async def revisions(self) -> list[Any]:
        return await self.sql(
            """SELECT day, usd, said_since AS valid_from, said_until AS valid_to, reading_id, replaced_by
            FROM day_revisions ORDER BY day, said_since"""
        )


def integration(integration_id: UUID, **changes: Any) -> IntegrationChanged:
    fields = {
        "integration_id": integration_id,
        "account_id": ACCOUNT,
        "team_id": "team-1",
        "label": "Team",
        "plan": Plan.FREE,
        "status": Status.ACTIVE,
        "version": 1,
        "credential_version": 1,
        "added_at": datetime(2026, 10, 1, tzinfo=UTC),
        "history_from": FIRST,
        "changed_at": NOON,
    }
    return IntegrationChanged(**fields | changes)


def reading_of(
    integration_id: UUID, costs: Costs, *, observed_at: datetime = NOON, cut: Iterable[date] = ()
) -> Reading:
    """The messages of a reading of `costs`; days of `cut` belong to its window and were not read."""
    reading_id = uuid4()
    days = tuple(_day(integration_id, day, labels, reading_id, observed_at) for day, labels in sorted(costs.items()))
    every = sorted([*costs, *cut])
    window = WindowRead(
        account_id=ACCOUNT,
        integration_id=integration_id,
        first_day=every[0],
        last_day=every[-1],
        trigger=Trigger.FORCE,
        request_ids=("request-1",),
        reading_id=reading_id,
        observed_at=observed_at,
        totals={day.day: day.usd for day in days},
        credential_version=1,
    )
    return Reading(reading_id, observed_at, days, window)


def _day(
    integration_id: UUID, day: date, labels: Mapping[str, str], reading_id: UUID, observed_at: datetime
) -> CostRecorded:
    costs = tuple(Cost(label=label, model=label, usd=Decimal(usd)) for label, usd in sorted(labels.items()))
    return CostRecorded(
        account_id=ACCOUNT,
        integration_id=integration_id,
        day=day,
        usd=total(cost.usd for cost in costs),
        costs=costs,
        reading_id=reading_id,
        observed_at=observed_at,
    )


def record_of(message: Message, **replaced: Any) -> ConsumerRecord:
    headers = headers_of(message, event_id=str(uuid4()), source="/test", at=NOON)
    fields = {
        "topic": "xai.costs.v1",
        "partition": 0,
        "offset": 7,
        "timestamp": int(NOON.timestamp() * 1000),
        "timestamp_type": 0,
        "key": b"key",
        "value": message.model_dump_json().encode(),
        "checksum": None,
        "serialized_key_size": 3,
        "serialized_value_size": 0,
        "headers": [(name, value.encode()) for name, value in headers.items()],
    }
    return ConsumerRecord(**fields | replaced)


def later(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)
