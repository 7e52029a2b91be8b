"""Very many readings, published straight to the topic, whose sums are known beforehand."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from confluent_kafka import Producer
from contract.cloudevents import headers_of
from contract.fields import Trigger
from contract.messages import Cost, CostRecorded, WindowRead
from contract.topics import COSTS

from tests.support.messages import encoded

ACCOUNT = "account-of-the-volume"
FIRST = date(2026, 10, 1)
DAYS = 30
READINGS = 5
"""Of each integration, each with other costs of each day."""
EVENTS_EACH = READINGS * (DAYS + 1)
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
LABELS = ("Chat grok-4 Input", "Chat grok-4 Output", "Chat grok-4-fast Input")
FLUSHED_EVERY = 5_000


@dataclass(frozen=True, slots=True)
class Volume:
    """`integrations` teams, each read READINGS times; all of it follows from `seed`."""

    integrations: int
    seed: int = 7

    @property
    def events(self) -> int:
        return self.integrations * EVENTS_EACH

    def readings(self) -> Iterator[tuple[list[CostRecorded], WindowRead]]:
        """Round by round: every integration's first reading, then every integration's second."""
        for number in range(READINGS):
            for integration in range(self.integrations):
                yield self.reading(integration, number)

    def reading(self, integration: int, number: int) -> tuple[list[CostRecorded], WindowRead]:
        """The messages of one reading."""
        chance = random.Random(f"{self.seed}:{integration}:{number}")
        integration_id, reading_id = self.integration_id(integration), _id(chance)
        at = BEGAN + timedelta(seconds=number)
        days = [_day(integration_id, reading_id, FIRST + timedelta(days=one), at, chance) for one in range(DAYS)]
        window = WindowRead(
            account_id=ACCOUNT,
            integration_id=integration_id,
            first_day=FIRST,
            last_day=FIRST + timedelta(days=DAYS - 1),
            trigger=Trigger.DAILY,
            request_ids=(f"volume-{reading_id}",),
            reading_id=reading_id,
            observed_at=at,
            totals={day.day: day.usd for day in days},
            credential_version=1,
        )
        return days, window

    def integration_id(self, integration: int) -> UUID:
        return _id(random.Random(f"{self.seed}:{integration}"))

    def expected(self) -> dict[UUID, Decimal]:
        """What each integration's last reading adds up to."""
        last = (self.reading(integration, READINGS - 1) for integration in range(self.integrations))
        return {window.integration_id: sum(window.totals.values(), Decimal(0)) for _, window in last}


def _id(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128), version=4)


def _day(integration_id: UUID, reading_id: UUID, day: date, at: datetime, chance: random.Random) -> CostRecorded:
    amounts = [Decimal(chance.randrange(1, 10**12)).scaleb(-10) for _ in LABELS]
    return CostRecorded(
        account_id=ACCOUNT,
        integration_id=integration_id,
        day=day,
        usd=sum(amounts, Decimal(0)),
        costs=tuple(
            Cost(label=label, model=label, usd=usd) for label, usd in sorted(zip(LABELS, amounts, strict=True))
        ),
        reading_id=reading_id,
        observed_at=at,
    )


async def publish(volume: Volume, servers: str) -> None:
    """Publish all of it, in order; answers when the broker has everything."""
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "linger.ms": 20,
            "queue.buffering.max.messages": 100_000,
        }
    )
    sent = 0
    for days, window in volume.readings():
        for day in days:
            _send(producer, day)
        _send(producer, window)
        sent += len(days) + 1
        if sent % FLUSHED_EVERY < EVENTS_EACH:
            await asyncio.sleep(0)  # let other tasks run
    await asyncio.to_thread(producer.flush)


def _send(producer: Producer, message: CostRecorded | WindowRead) -> None:
    about = message.day if isinstance(message, CostRecorded) else "window"
    headers = headers_of(message, event_id=f"{message.reading_id}:{about}", source="/a-test", at=message.observed_at)
    body, key = message.model_dump_json().encode(), str(message.integration_id).encode()
    while True:
        with suppress(BufferError):
            producer.produce(COSTS.name, body, key, headers=encoded(headers))
            producer.poll(0)
            return
        producer.poll(0.1)
