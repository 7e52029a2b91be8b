"""A consumer on a topic of its own on the real broker."""

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from common.kafka.client import make_broker
from common.kafka.consumer import Consumers
from common.settings import KafkaSettings
from common.watchdog import Watchdog
from contract.cloudevents import Event
from contract.messages import SyncRequested
from contract.topics import Topic

from tests.support.fakes import RecordedPauses, RecordingDeadLetters
from tests.support.messages import sync_requested, wire


@dataclass(slots=True)
class Bench:
    """A topic, a producer to it, consumers of it, and the records that they handled or dead-lettered."""

    topic: Topic
    servers: str
    producer: AIOKafkaProducer
    handled: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    pauses: RecordedPauses = field(default_factory=RecordedPauses)
    subscribers: list[Any] = field(default_factory=list)
    dead_letters: RecordingDeadLetters = field(default_factory=RecordingDeadLetters)

    async def send(self, request_id: str, **replaced: Any) -> None:
        value, headers = wire(sync_requested(request_id=request_id), event_id=request_id)
        await self.producer.send_and_wait(
            self.topic.name, key=b"key", **{"value": value, "headers": headers} | replaced
        )

    @asynccontextmanager
    async def consuming(
        self, fails: Callable[[str], BaseException | None] = lambda _: None, *, instance_name: str = ""
    ) -> AsyncIterator[Watchdog]:
        """Handle each request; `fails` returns the error of a request that is to fail."""

        async def handle(event: Event[SyncRequested]) -> None:
            if error := fails(event.message.request_id):
                raise error
            self.handled.append(event.message.request_id)

        def subscribe(consumers: Consumers) -> None:
            consumers.on(self.topic, {SyncRequested: handle})

        async with self.started(subscribe, instance_name=instance_name) as watchdog:
            yield watchdog

    @asynccontextmanager
    async def consuming_batches(
        self,
        fails: Callable[[list[str]], BaseException | None] = lambda _: None,
        *,
        max_records: int = 100,
        gathered: bool = False,
    ) -> AsyncIterator[Watchdog]:
        """Handle batches of requests; `fails` returns the error of a batch that is to fail."""

        async def take(events: Sequence[Event[SyncRequested]]) -> None:
            self.batches.append(len(events))
            requests = [event.message.request_id for event in events]
            if error := fails(requests):
                raise error
            self.handled.extend(requests)

        def subscribe(consumers: Consumers) -> None:
            consumers.on_batch(self.topic, take, max_records=max_records, gathered=gathered)

        async with self.started(subscribe) as watchdog:
            yield watchdog

    @asynccontextmanager
    async def started(
        self, subscribe: Callable[[Consumers], None], *, instance_name: str = ""
    ) -> AsyncIterator[Watchdog]:
        watchdog = Watchdog()
        broker = make_broker(KafkaSettings(kafka_bootstrap_servers=self.servers), "test")
        consumers = Consumers(
            broker, "test", self.dead_letters, watchdog, pause=self.pauses, instance_name=instance_name
        )
        subscribe(consumers)
        self.subscribers.extend(broker.subscribers)
        try:
            await broker.start()
            yield watchdog
        finally:
            await broker.stop()

    async def configure(self, config: dict[str, str]) -> None:
        async with self._admin() as admin:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, self.topic.name, config)])

    async def add_partitions(self, total: int) -> None:
        """As somebody does who alters the topic in place."""
        async with self._admin() as admin:
            await admin.create_partitions({self.topic.name: NewPartitions(total)})

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def records(self) -> list[ConsumerRecord]:
        return await records_of(self.servers, self.topic)


async def records_of(servers: str, topic: Topic) -> list[ConsumerRecord]:
    """All records of `topic`."""
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[ConsumerRecord] = []
        while any([await consumer.position(one) < end for one, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
    finally:
        await consumer.stop()
    return found


@asynccontextmanager
async def bench_on(servers: str, **contract: Any) -> AsyncIterator[Bench]:
    """A bench on a new topic; `contract` are fields of its declaration."""
    topic = Topic(f"test.{uuid.uuid4().hex}", (SyncRequested,), contract.pop("partitions", 1), {}, **contract)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic.name, topic.partitions, 1)])
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    try:
        yield Bench(topic, servers, producer)
    finally:
        await producer.stop()
        await admin.delete_topics([topic.name])
        await admin.close()
