"""Read and write topics, and wait for those who consume them."""

from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from common.kafka.client import client_options
from common.settings import KafkaSettings
from contract.access import group_of
from contract.topics import DEAD_LETTERS, SYNC_REQUESTS, TOPICS

from tests.support.messages import sync_requested, wire
from tests.support.waiting import until

PARTITIONS = {topic.name: topic.partitions for topic in TOPICS}


class TopicClient:
    def __init__(self, settings: KafkaSettings) -> None:
        self._kafka = client_options(settings)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(**self._kafka)
        await self._producer.start()
        self._stack.push_async_callback(self._producer.stop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def broker_answers(self) -> None:
        """Wait until the broker can be asked again."""

        async def ask() -> bool:
            with suppress(KafkaError, OSError):
                async with AsyncExitStack() as stack:
                    admin = AIOKafkaAdminClient(**self._kafka, request_timeout_ms=2000)
                    await admin.start()
                    stack.push_async_callback(admin.close)
                    return bool((await admin.describe_cluster())["brokers"])
            return False

        await until(ask)

    async def publish(
        self, topic: str, key: str | bytes | None, body: bytes | None, headers: Mapping[str, bytes | None]
    ) -> tuple[int, int]:
        """Write any record; return its partition and offset."""
        raw_key = key.encode() if isinstance(key, str) else key
        stored = await self._producer.send_and_wait(topic, body, key=raw_key, headers=list(headers.items()))
        return stored.partition, stored.offset

    async def ask(self, integration_id: str, request_id: str) -> None:
        """Request a Force Sync as another program does: by topic."""
        value, headers = wire(sync_requested(integration_id, request_id=request_id), event_id=request_id)
        await self.publish(SYNC_REQUESTS.name, integration_id, value, dict(headers))

    async def records(self, topic: str, since: dict[TopicPartition, int] | None = None) -> list[Any]:
        """Every record of a topic, oldest first in each partition; with `since`, which it updates, the new ones."""
        known = {} if since is None else since
        async with AsyncExitStack() as stack:
            consumer = AIOKafkaConsumer(**self._kafka, auto_offset_reset="earliest")
            await consumer.start()
            stack.push_async_callback(consumer.stop)
            partitions = [TopicPartition(topic, number) for number in range(PARTITIONS[topic])]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            await consumer.seek_to_beginning(*(one for one in partitions if one not in known))
            for one in partitions:
                if one in known:
                    consumer.seek(one, known[one])
            known.update(ends)
            found: list[Any] = []
            while any([await consumer.position(one) < ends[one] for one in partitions]):
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    found += batch
            return found

    async def consumed(self, group: str, topic: str) -> None:
        """Wait until a group has handled every record that is in a topic now."""
        async with AsyncExitStack() as stack:
            admin, consumer = AIOKafkaAdminClient(**self._kafka), AIOKafkaConsumer(**self._kafka)
            await admin.start()
            stack.push_async_callback(admin.close)
            await consumer.start()
            stack.push_async_callback(consumer.stop)
            partitions = [TopicPartition(topic, number) for number in range(PARTITIONS[topic])]
            ends = await consumer.end_offsets(partitions)

            async def behind() -> int:
                offsets = await admin.list_consumer_group_offsets(group)
                return sum(end - (offsets[one].offset if one in offsets else 0) for one, end in ends.items())

            await until(behind, lambda lag: lag <= 0)

    async def daily_run_is_taken(self) -> None:
        """Wait until the cron emitter's daily run has been handled: it does not include later integrations."""
        await until(lambda: self.records(SYNC_REQUESTS.name))
        await self.consumed(group_of("syncer", SYNC_REQUESTS), SYNC_REQUESTS.name)

    async def dead_letter(self, marker: bytes) -> dict[str, str]:
        """Wait for the dead letter whose value or original headers contain `marker`; return its headers."""

        async def find() -> dict[str, str] | None:
            for record in await self.records(DEAD_LETTERS.name):
                headers = {name: value.decode() for name, value in record.headers}
                if marker in (record.value or b"") or marker.decode() in headers.values():
                    return headers
            return None

        return await until(find)
