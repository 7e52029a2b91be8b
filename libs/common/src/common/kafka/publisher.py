"""Publishing: all replicas acknowledge every record, and a record that would break the producer is rejected before."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from contract.access import ACCESS
from contract.cloudevents import headers_of
from contract.messages import Message
from contract.topics import Topic

from common.errors import TransientError
from common.kafka.aiokafka_internals import is_writable
from common.kafka.availability import RETRY_SECONDS, STUCK_SECONDS, Acknowledgements
from common.kafka.client import MAX_BATCH_BYTES
from common.kafka.diagnostics import authorization_hint
from common.kafka.placement import partition_of
from common.kafka.spans import sending
from common.kafka.tolerant_consumer import TolerantBroker
from common.metrics import PUBLISHED, declare
from common.watchdog import Watchdog

PUBLISH_DEADLINE = STUCK_SECONDS
"""Seconds; after that it is unknown whether the broker has the record, and it is published again with the same ID."""
ENVELOPE_BYTES = 70
"""Overhead of a record, and of a batch, at most."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be published."""

    topic: Topic
    body: bytes | None
    """None: a tombstone."""
    key: bytes
    headers: Mapping[str, str]
    partition: int | None = None
    """None: the one that the key decides."""


class Publisher:
    """Publishes and waits until the broker has it; while it acknowledges nothing, refuses at once.

    A record without a key, or too large for its topic, is rejected here: aiokafka assigns its sequence number before
    the broker validates it, so one rejection by the broker would break the idempotent producer.
    """

    def __init__(self, broker: TolerantBroker, service: str, watchdog: Watchdog) -> None:
        self._broker = broker
        self._source = f"/grafient/{service}"
        self._watchdog = watchdog
        self._acknowledgements = Acknowledgements()
        self._writes = ACCESS[service].writes if service in ACCESS else ()
        for topic in self._writes:
            declare(PUBLISHED, [topic.name], topic.types)

    async def publish(self, topic: Topic, message: Message, *, key: str, event_id: str, at: datetime) -> None:
        """Publish `message` as `outgoing` makes a record of it; raises what `outgoing` and `publish_all` raise."""
        await self.publish_all([self.outgoing(topic, message, key=key, event_id=event_id, at=at)])

    def outgoing(
        self, topic: Topic, message: Message, *, key: str, event_id: str, at: datetime, body: bytes | None = None
    ) -> Outgoing:
        """The record of `message` in the current trace; `body`: its JSON, where that is known already.

        `event_id` and `at` are the event's own, so that a second copy is the same event. Raises ValueError for what
        `topic` does not carry.
        """
        if type(message).__name__ not in topic.types:
            raise ValueError(f"{topic.name} does not carry {type(message).__name__}")
        headers = headers_of(message, event_id=event_id, source=self._source, at=at)
        return Outgoing(topic, body or message.model_dump_json().encode(), key.encode(), headers)

    async def send(
        self, topic: Topic, body: bytes | None, *, key: bytes, headers: dict[str, str], partition: int | None = None
    ) -> None:
        """Publish raw bytes (None: a tombstone), with the same checks."""
        await self.publish_all([Outgoing(topic, body, key, headers, partition)])

    async def publish_all(self, records: Sequence[Outgoing]) -> None:
        """Publish together, records of one key in their order, and wait until the broker has all of them.

        Raises ValueError where one of them would be rejected: then none is published. Raises TransientError when it is
        unknown whether the broker has them all.
        """
        for record in records:
            check_size(record.topic, record.body, key=record.key, headers=record.headers)
        names = ", ".join(sorted({record.topic.name for record in records}))
        begun = self._acknowledgements.begin()
        try:
            with sending(records) as traced:
                async with asyncio.timeout(PUBLISH_DEADLINE):
                    await self._send_all(traced)
        except TimeoutError:
            self._acknowledgements.failed(begun)
            raise TransientError(f"the broker did not acknowledge a record of {names}") from None
        except KafkaError as error:
            if not error.retriable:
                self._watchdog.fail(f"producer of {names}: {authorization_hint(error) or type(error).__name__}")
            raise TransientError(f"{names}: {type(error).__name__}") from None
        self._acknowledgements.came()
        for (topic, kind), number in Counter(map(_kind, records)).items():
            if kind:
                PUBLISHED.labels(topic, kind).inc(number)

    async def check(self) -> None:
        """Raises TransientError while no record is acknowledged; looks every RETRY_SECONDS whether one would be."""
        if self._acknowledgements.missing() and self._acknowledgements.is_due("look"):
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS):
                    if await is_writable(self._broker.producer, [topic.name for topic in self._writes]):
                        self._acknowledgements.came()
        if missing := self._acknowledgements.missing():
            raise missing

    async def _send_all(self, records: Sequence[Outgoing]) -> None:
        """Each batch of a partition is sent by itself: FastStream's way takes ten times the CPU, record by record."""
        waiting: list[asyncio.Future[object]] = []
        try:
            async for (topic, partition), batch in self._batches(records):
                waiting.append(await self._broker.producer.send_batch(batch, topic, partition=partition))
            results = await asyncio.gather(*waiting, return_exceptions=True)
        finally:
            for one in waiting:
                one.cancel()  # of those that nobody waits for any more
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _batches(self, records: Sequence[Outgoing]) -> AsyncIterator[tuple[tuple[str, int], BatchBuilder]]:
        """As full as they may be, and each once it is full."""
        create = self._broker.producer.create_batch
        open_: defaultdict[tuple[str, int], BatchBuilder] = defaultdict(create)
        for record in records:
            place = record.topic.name, await self._partition_of(record)
            if not _append(open_[place], record):
                yield place, open_.pop(place)
                _append(open_[place], record)  # a batch takes its first record whatever its size
        for place, batch in open_.items():
            batch.close()
            yield place, batch

    def partitions_of(self, topic: Topic) -> int:
        """How many partitions all who use `topic` agree on."""
        return self._broker.partitions_of(topic)

    async def _partition_of(self, record: Outgoing) -> int:
        """By the agreed count: partitions that somebody adds meanwhile do not split the order of a key."""
        partition = record.partition
        if partition is None:
            partition = partition_of(record.key, self.partitions_of(record.topic))
        if partition not in await self._broker.producer.partitions_for(record.topic.name):
            raise TransientError(f"{record.topic.name} has no partition {partition}")
        return partition


def _append(batch: BatchBuilder, record: Outgoing) -> bool:
    headers = [(name, value.encode()) for name, value in record.headers.items()]
    return batch.append(timestamp=None, key=record.key, value=record.body, headers=headers) is not None


def fits_one_batch(records: Sequence[Outgoing]) -> bool:
    """Whether the broker stores `records`, which have one key, whole or not at all where they are published together."""
    return sum(map(_size, records)) + ENVELOPE_BYTES <= MAX_BATCH_BYTES


def _size(record: Outgoing) -> int:
    return _length(record.body, record.key, record.headers) + ENVELOPE_BYTES


def _kind(record: Outgoing) -> tuple[str, str]:
    """Topic and type of message; the type is empty where it is none that the topic carries."""
    kind = record.headers.get("ce_type", "")
    return record.topic.name, kind if kind in record.topic.types else ""


async def all_of(publishing: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Publish at the same time; when all have ended, raises the error of the first one that failed."""
    results = await asyncio.gather(*publishing, return_exceptions=True)
    failed = [result for result in results if isinstance(result, BaseException)]
    if failed:
        raise failed[0]


def check_size(topic: Topic, body: bytes | None, *, key: bytes, headers: Mapping[str, str]) -> None:
    """Raises ValueError for a record without a key or too large for `topic`."""
    if not key:
        raise ValueError(f"a record of {topic.name} needs a key")
    size = _length(body, key, headers)
    if size + ENVELOPE_BYTES > topic.max_record_bytes:
        raise ValueError(f"a record of {topic.name} has at most {topic.max_record_bytes} bytes, not {size}")


def _length(body: bytes | None, key: bytes, headers: Mapping[str, str]) -> int:
    return len(body or b"") + len(key) + sum(len(name) + len(value.encode()) for name, value in headers.items())
