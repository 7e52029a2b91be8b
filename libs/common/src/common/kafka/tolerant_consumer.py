"""A consumer that no record can stop: a record with undecodable header names is passed on without its content."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from contract.cloudevents import UNREADABLE_NAME
from contract.topics import Topic
from faststream.kafka import KafkaBroker

from common.kafka.aiokafka_internals import keep_batches
from common.kafka.consumer_state import fetch_once_all_is_polled, is_behind, positions
from common.kafka.diagnostics import authorization_hint
from common.kafka.late_commits import LateCommits

log = structlog.get_logger()

Offsets = Mapping[TopicPartition, int | OffsetAndMetadata]

PATIENCE_MS = 1000
"""How long a poll waits at least: FastStream asks for a few milliseconds, sleeps after each that was empty, and a record
that arrives meanwhile would wait for the end of the sleep."""
REST_SECONDS = 0.1
"""Least time between two polls of which the first had records of several keys, and nothing was left: while many arrive,
those of so long are one batch. A record that comes alone is never waited for."""
JOIN_MS = 25_000
"""How long a consumer waits until all members of its group have joined: longer than one of them may take to finish its
batch (REVOKE_DEADLINE) after a heartbeat."""
STEP_MS = 500
"""How long a step waits for the next record of a partition, which is fetched again."""


class TolerantConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka is untyped
    """aiokafka decodes the names of headers while it reads, and would fail on the same record at every poll."""

    _careful = False
    """Read one record at a time until the unreadable one is found."""

    _next_poll = 0.0
    """By the clock of the loop."""

    refused: str | None = None
    """Why the broker denies access, and the next step; None while it does not."""

    def __init__(self, *topics: str, **options: Any) -> None:  # noqa: ANN401 - as aiokafka's
        super().__init__(*topics, **options)
        self._commits = LateCommits(self, super().commit)

    async def start(self) -> None:
        await super().start()
        if self._group_id:
            fetch_once_all_is_polled(self)

    async def stop(self) -> None:
        await self._commits.end()
        await super().stop()

    async def commit(self, offsets: Offsets | None = None) -> None:
        """Commit `offsets`; or soon, and before the partitions are others', what was polled so far: it is handled."""
        if offsets is None:
            self._commits.note()
        else:
            await super().commit(offsets)

    async def commit_handled(self) -> None:
        """Commit what is handled, as far as that is possible in time."""
        await self._commits.commit()

    async def partitions_of(self, topic: Topic) -> list[TopicPartition]:
        """Every partition that the broker has of `topic`, whatever is declared: what is read must miss none."""
        numbers = await self._client._wait_on_metadata(topic.name)  # noqa: SLF001 - as the producer's partitions_for
        return [TopicPartition(topic.name, number) for number in sorted(numbers)]

    async def getone(self, *partitions: TopicPartition) -> ConsumerRecord:
        while True:
            try:
                with self._recording_refusals():
                    return await super().getone(*partitions)
            except UnicodeDecodeError:
                for records in (await self._step()).values():
                    return records[0]

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Answers as soon as there is a record; `timeout_ms` is raised to PATIENCE_MS, unless it is 0."""
        timeout_ms = max(timeout_ms, PATIENCE_MS) if timeout_ms else 0
        if (rest := self._next_poll - self._loop.time()) > 0:
            await asyncio.sleep(rest)
        before = positions(self)
        found: dict[TopicPartition, list[ConsumerRecord]] = {}
        try:
            limit = 1 if self._careful else max_records
            with self._recording_refusals():
                found = await super().getmany(*partitions, timeout_ms=timeout_ms, max_records=limit)
        except UnicodeDecodeError:
            if self._careful:
                return await self._step()
            self._careful = True
            await self._rewind(before)
        if _has_several_keys(found) and not is_behind(self):
            self._next_poll = self._loop.time() + REST_SECONDS
        return found

    @contextmanager
    def _recording_refusals(self) -> Iterator[None]:
        """FastStream retries without an end, and logs nothing that helps."""
        try:
            yield
        except KafkaError as error:
            if (hint := authorization_hint(error)) and not self.refused:
                log.error("consumer.refused", reason=hint)  # noqa: TRY400 - the hint is enough
            self.refused = hint or self.refused
            raise

    async def _rewind(self, before: dict[TopicPartition, int]) -> None:
        """Otherwise the records that other partitions returned before the failure would be lost."""
        for partition in self.assignment():
            offset = before.get(partition, await self.committed(partition))
            if offset is None:
                await self.seek_to_beginning(partition)
            else:
                self.seek(partition, offset)

    async def _step(self) -> dict[TopicPartition, list[ConsumerRecord]]:
        """The next record of one partition, readable or not: the error does not name its partition."""
        for partition in self.assignment():
            try:
                found: dict[TopicPartition, list[ConsumerRecord]] = await super().getmany(
                    partition, timeout_ms=STEP_MS, max_records=1
                )
            except UnicodeDecodeError:
                offset = await self.position(partition)
                self.seek(partition, offset + 1)
                self._careful = False
                return {partition: [_unreadable(partition, offset)]}
            if found:
                return found
        return {}


def _has_several_keys(found: dict[TopicPartition, list[ConsumerRecord]]) -> bool:
    records = list(chain.from_iterable(found.values()))
    return any(one.key != records[0].key for one in records)


def _unreadable(partition: TopicPartition, offset: int) -> ConsumerRecord:
    """A record with its origin only, and a header that cannot be decoded."""
    headers = [(UNREADABLE_NAME, None)]
    return ConsumerRecord(partition.topic, partition.partition, offset, 0, 0, None, None, None, 0, 0, headers)


async def parse_without_headers(record: Any, original: Callable[[Any], Awaitable[Any]]) -> Any:  # noqa: ANN401 - untyped
    """FastStream decodes headers before the handler, and would drop a record with one that is not UTF-8.

    Of a batch it needs no more than the first and the last record.
    """
    ends = (record[0], record[-1]) if isinstance(record, tuple) else (record,)
    bare = tuple(replace(one, headers=()) for one in ends)
    message = await original(bare if isinstance(record, tuple) else bare[0])
    message.raw_message = record
    return message


class TolerantBroker(KafkaBroker):
    """FastStream's broker, whose subscribers read with a TolerantConsumer."""

    partitions_of: Callable[[Topic], int] = staticmethod(attrgetter("partitions"))
    """How many partitions a topic has for all who use it: `KafkaSettings.partitions_of`."""

    @property
    def producer(self) -> AIOKafkaProducer:
        """The client behind it, once it is connected: FastStream gives all records of a batch the same headers."""
        return self.config.broker_config.producer._producer.producer  # type: ignore[attr-defined]  # noqa: SLF001 - no public way

    async def _connect(self) -> Callable[..., AIOKafkaConsumer]:
        builder = await super()._connect()
        assert isinstance(builder, partial)  # noqa: S101 - FastStream keeps the options so
        keep_batches(self.producer)
        options = builder.keywords | {"request_timeout_ms": JOIN_MS}
        self.config.broker_config.builder = partial(TolerantConsumer, **options)
        return self.config.broker_config.builder
