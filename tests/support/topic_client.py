"""Read and write topics, and wait for those who consume them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from common.kafka.client import client_options
from common.settings import KafkaSettings
from contract.access import group_of
from contract.messages import Message
from contract.topics import DEAD_LETTERS, SYNC_REQUESTS, TOPICS, Topic

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
        """Wait until the broker answers requests."""

        async def ask() -> bool:
            with suppress(KafkaError, OSError):
                async with self._admin(request_timeout_ms=2000) as admin:
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

    async def publish_message(self, topic: Topic, key: str, message: Message, event_id: str) -> None:
        value, headers = wire(message, event_id=event_id)
        await self.publish(topic.name, key, value, dict(headers))

    async def ask(self, integration_id: str, request_id: str) -> None:
        """Request a Force Sync as another program does: by topic."""
        request = sync_requested(integration_id, request_id=request_id)
        await self.publish_message(SYNC_REQUESTS, integration_id, request, request_id)

    async def records(self, topic: str, since: dict[TopicPartition, int] | None = None) -> list[Any]:
        """Every record of a topic, oldest first in each partition; with `since`, which it updates, the new ones."""
        known, partitions = {} if since is None else since, _partitions(topic)
        async with self._consumer(auto_offset_reset="earliest") as consumer:
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            await consumer.seek_to_beginning(*(one for one in partitions if one not in known))
            for one in known.keys() & set(partitions):
                consumer.seek(one, known[one])
            known.update(ends)
            found: list[Any] = []
            while any([await consumer.position(one) < ends[one] for one in partitions]):
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    found += batch
            return found

    async def records_of(self, topic: Topic, key: str) -> list[Any]:
        return [record for record in await self.records(topic.name) if record.key == key.encode()]

    async def consumed(self, service: str, *topics: Topic) -> None:
        """Wait until a service has handled every record that is in these topics now."""
        async with self._admin() as admin, self._consumer() as consumer:
            for topic in topics:
                ends = await consumer.end_offsets(_partitions(topic.name))
                offsets = partial(admin.list_consumer_group_offsets, group_of(service, topic))
                await until(offsets, partial(_includes, ends))

    async def daily_run_is_handled(self) -> None:
        """Wait until the cron emitter's daily run has been handled: it does not include later integrations."""
        await until(lambda: self.records(SYNC_REQUESTS.name))
        await self.consumed("syncer", SYNC_REQUESTS)

    async def dead_letters(self) -> list[dict[str, str]]:
        """The headers of all dead letters, without the records that mark one as redriven or dropped."""
        headers = [
            {name: (value or b"").decode() for name, value in record.headers}
            for record in await self.records(DEAD_LETTERS.name)
        ]
        return [one for one in headers if "dead_letter_reason" in one]

    @asynccontextmanager
    async def _admin(self, **options: Any) -> AsyncIterator[AIOKafkaAdminClient]:
        async with AsyncExitStack() as stack:
            admin = AIOKafkaAdminClient(**self._kafka, **options)
            stack.push_async_callback(admin.close)
            await admin.start()
            yield admin

    @asynccontextmanager
    async def _consumer(self, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
        async with AsyncExitStack() as stack:
            consumer = AIOKafkaConsumer(**self._kafka, **options)
            stack.push_async_callback(consumer.stop)  # also of one that was cancelled while it started
            await consumer.start()
            yield consumer


def _partitions(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(PARTITIONS[topic])]


def _includes(ends: Mapping[TopicPartition, int], offsets: Mapping[TopicPartition, Any]) -> bool:
    """Whether a group has committed all that was there."""
    return all(end == 0 or (one in offsets and offsets[one].offset >= end) for one, end in ends.items())
