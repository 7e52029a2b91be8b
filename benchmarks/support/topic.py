"""Topics as a benchmark needs them: filled before the start, read again from the start, with their ends in view."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.producer.message_accumulator import BatchBuilder
from common.kafka.placement import partition_of
from contract.access import group_of
from contract.topics import Topic

from benchmarks.support.facts import Record

BATCH_BYTES = 1 << 18
"""Of records that are published together."""
JVM = ("-Xms1g", "-Xmx1g", "-XX:-UseSerialGC", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:TieredStopAtLevel=4")
"""Of a broker that is measured: the options of Kafka's own scripts, in place of those with which it starts soonest."""
WARM = TopicPartition("benchmark-warm", 0)
WARM_RECORDS = 20_000
"""By then the JVM has compiled for good what a record takes: a Force Sync costs the broker less CPU than after 8,000."""


class Broker:
    """Clients of a broker without security."""

    def __init__(self, servers: str, admin: AIOKafkaAdminClient, looking: AIOKafkaConsumer) -> None:
        self.servers = servers
        self._admin = admin
        self._looking = looking

    @classmethod
    @asynccontextmanager
    async def connected(cls, servers: str) -> AsyncIterator[Self]:
        admin, looking = AIOKafkaAdminClient(bootstrap_servers=servers), AIOKafkaConsumer(bootstrap_servers=servers)
        await admin.start()
        await looking.start()
        try:
            yield cls(servers, admin, looking)
        finally:
            await looking.stop()
            await admin.close()

    async def warm(self, records: int = WARM_RECORDS) -> None:
        """Publish and read one record after another (about 25 s): a broker in production has been up for days."""
        await self._admin.create_topics([NewTopic(WARM.topic, num_partitions=1, replication_factor=1)])
        consumer = AIOKafkaConsumer(bootstrap_servers=self.servers, group_id=WARM.topic, enable_auto_commit=False)
        async with AIOKafkaProducer(bootstrap_servers=self.servers, enable_idempotence=True) as producer, consumer:
            consumer.assign([WARM])
            consumer.seek(WARM, 0)
            for number in range(records):
                await producer.send_and_wait(WARM.topic, b"warm", partition=WARM.partition)
                await consumer.getone()
                if number % 10 == 0:
                    await consumer.commit()
        await self._admin.delete_topics([WARM.topic])

    async def fill(self, topic: Topic, records: Iterable[Record]) -> None:
        """Publish in the order of `records`, in batches as full as they may be, and wait until all are there."""
        producer = AIOKafkaProducer(bootstrap_servers=self.servers, max_batch_size=BATCH_BYTES)
        async with producer:
            open_: defaultdict[int, BatchBuilder] = defaultdict(producer.create_batch)
            sent = []
            for one in records:
                place = partition_of(one.key, topic.partitions)
                if not _append(open_[place], one):
                    sent.append(await producer.send_batch(open_.pop(place), topic.name, partition=place))
                    _append(open_[place], one)  # a batch takes its first record whatever its size
            sent += [await producer.send_batch(one, topic.name, partition=place) for place, one in open_.items()]
            await asyncio.gather(*sent)

    async def empty(self, topic: Topic) -> None:
        """Delete its records; offsets continue."""
        ends = await self._looking.end_offsets(_partitions(topic))
        await self._admin.delete_records({place: RecordsToDelete(end) for place, end in ends.items()})

    async def end(self, topic: Topic) -> int:
        """Sum of the end offsets."""
        return sum((await self.ends(topic)).values())

    async def ends(self, topic: Topic) -> dict[int, int]:
        """The end offset of each partition."""
        ends: dict[TopicPartition, int] = await self._looking.end_offsets(_partitions(topic))
        return {place.partition: end for place, end in ends.items()}

    async def records(self, topic: Topic, places: Mapping[int, int]) -> AsyncIterator[ConsumerRecord]:
        """All records from these offsets of the partitions on that are there now."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.servers, enable_auto_commit=False)
        async with consumer:
            consumer.assign(_partitions(topic))
            for number, offset in places.items():
                consumer.seek(TopicPartition(topic.name, number), offset)
            left = await self.end(topic) - sum(places.values())
            while left > 0:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    left -= len(records)
                    for record in records:
                        yield record

    async def left(self, service: str, topic: Topic) -> int:
        """Records that the service's group has not committed."""
        committed = await self._admin.list_consumer_group_offsets(
            group_of(service, topic), partitions=_partitions(topic)
        )
        begins: dict[TopicPartition, int] = await self._looking.beginning_offsets(_partitions(topic))
        done: int = sum(max(begins[place], offset.offset) for place, offset in committed.items())
        return await self.end(topic) - done

    async def rewind(self, service: str, topic: Topic) -> None:
        """Let the service's group begin with the first record again; nobody may consume meanwhile."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.servers, group_id=group_of(service, topic), enable_auto_commit=False
        )
        async with consumer:
            consumer.assign(_partitions(topic))
            await consumer.commit(await consumer.beginning_offsets(_partitions(topic)))


def _append(batch: BatchBuilder, record: Record) -> bool:
    return batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers) is not None


def _partitions(topic: Topic) -> list[TopicPartition]:
    return [TopicPartition(topic.name, number) for number in range(topic.partitions)]
