"""Write any bytes to the partition that a test names."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from common.kafka.client import client_options
from contract.topics import Topic

from tests.faults.support.valid import Valid
from tests.support.poison import CONSUMERS, Poison
from tests.support.system import SystemClient

MAX_REQUEST = 10_000_000
Origin = tuple[str, int, int]
"""Topic, partition and offset."""


@dataclass(frozen=True, slots=True)
class Written:
    """A poison as the broker has stored it."""

    poison: Poison
    origin: Origin
    at_ms: int
    services: tuple[str, ...]
    """Those that must dead-letter it."""

    @property
    def dead_letter_ids(self) -> set[str]:
        topic, partition, offset = self.origin
        return {f"{service}:{topic}:{partition}:{offset}" for service in self.services}


@dataclass
class Sender:
    plain: AIOKafkaProducer
    compressing: AIOKafkaProducer

    async def poison(self, topic: Topic, partition: int, poison: Poison, *, services: tuple[str, ...] = ()) -> Written:
        """`services` must dead-letter it; by default all that consume the topic."""
        producer = self.compressing if poison.inflated else self.plain
        stored = await producer.send_and_wait(
            topic.name, poison.value, key=poison.key, headers=list(poison.headers), partition=partition
        )
        origin = (topic.name, partition, stored.offset)
        return Written(poison, origin, stored.timestamp, services or CONSUMERS[topic])

    async def valid(self, topic: Topic, partition: int, message: Valid, *, copies: int = 1) -> None:
        value, headers = message.wire()
        for _ in range(copies):
            await self.plain.send(topic.name, value, key=message.key.encode(), headers=headers, partition=partition)
        await self.plain.flush()

    async def again(self, records: Sequence[Any]) -> None:
        """Write records once more to their partitions, in this order."""
        for one in records:
            await self.plain.send(one.topic, one.value, key=one.key, headers=list(one.headers), partition=one.partition)
        await self.plain.flush()


@asynccontextmanager
async def sending(client: SystemClient) -> AsyncIterator[Sender]:
    options = client_options(client.system.kafka.settings())
    async with AsyncExitStack() as stack:
        kinds: list[dict[str, Any]] = [{}, {"compression_type": "gzip"}]
        producers = [AIOKafkaProducer(**options, **kind, acks="all", max_request_size=MAX_REQUEST) for kind in kinds]
        for producer in producers:
            await producer.start()
            stack.push_async_callback(producer.stop)
        yield Sender(*producers)
