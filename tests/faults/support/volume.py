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
from contract.fields import Trigger
from contract.messages import CostRecorded, WindowRead
from contract.topics import COSTS

from tests.support.messages import cost_recorded, window_read, wire

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
        of = {"account_id": ACCOUNT, "reading_id": reading_id, "observed_at": at}
        days = [
            cost_recorded(integration_id, _amounts(chance), day=FIRST + timedelta(days=day), **of)
            for day in range(DAYS)
        ]
        return days, window_read(*days, trigger=Trigger.DAILY, request_ids=(f"volume-{reading_id}",))

    def integration_id(self, integration: int) -> UUID:
        return _id(random.Random(f"{self.seed}:{integration}"))

    def expected(self) -> dict[UUID, Decimal]:
        """What each integration's last reading adds up to."""
        last = (self.reading(integration, READINGS - 1) for integration in range(self.integrations))
        return {window.integration_id: sum(window.totals.values(), Decimal(0)) for _, window in last}


def _id(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128), version=4)


def _amounts(chance: random.Random) -> dict[str, Decimal]:
    return {label: Decimal(chance.randrange(1, 10**12)).scaleb(-10) for label in LABELS}


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
    value, headers = wire(message, event_id=f"{message.reading_id}:{about}", at=message.observed_at)
    while True:
        with suppress(BufferError):
            producer.produce(COSTS.name, value, str(message.integration_id).encode(), headers=headers)
            producer.poll(0)
            return
        producer.poll(0.1)
