"""A consumer that no record can stop: one whose header names are not text is handed over without its content."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker

from common.kafka.diagnostics import authorization_hint

log = structlog.get_logger()

STEP_MS = 500
"""How long a step waits for a partition's next record, which has to be fetched again."""


class TolerantConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka is untyped
    """aiokafka decodes the names of headers while it reads, fails, and would fail on the same record for ever."""

    _careful = False
    """Batches hold one record until the unreadable one is passed: only then it is known which one that is."""

    refused: str | None = None
    """Why the broker gives nothing any more, and the next step; None while it gives."""

    async def getone(self, *partitions: TopicPartition) -> ConsumerRecord:
        while True:
            try:
                with self._noting_refusals():
                    return await super().getone(*partitions)
            except UnicodeDecodeError:
                for records in (await self._step()).values():
                    return records[0]

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        before = self._positions()
        found: dict[TopicPartition, list[ConsumerRecord]] = {}
        try:
            limit = 1 if self._careful else max_records
            with self._noting_refusals():
                found = await super().getmany(*partitions, timeout_ms=timeout_ms, max_records=limit)
        except UnicodeDecodeError:
            if self._careful:
                return await self._step()
            self._careful = True
            await self._rewind(before)
        return found

    @contextmanager
    def _noting_refusals(self) -> Iterator[None]:
        """FastStream asks again for ever, and says nothing that helps."""
        try:
            yield
        except KafkaError as error:
            if (sentence := authorization_hint(error)) and not self.refused:
                log.error("consumer.refused", reason=sentence)  # noqa: TRY400 - the sentence says it all
            self.refused = sentence or self.refused
            raise

    async def _rewind(self, before: dict[TopicPartition, int]) -> None:
        """What other partitions had given before the failure would be lost otherwise."""
        for partition in self.assignment():
            offset = before.get(partition, await self.committed(partition))
            if offset is None:
                await self.seek_to_beginning(partition)
            else:
                self.seek(partition, offset)

    def _positions(self) -> dict[TopicPartition, int]:
        assignment = self._subscription.subscription and self._subscription.subscription.assignment
        if not assignment:
            return {}
        states = {partition: assignment.state_value(partition) for partition in assignment.tps}
        return {partition: state.position for partition, state in states.items() if state.has_valid_position}

    async def _step(self) -> dict[TopicPartition, list[ConsumerRecord]]:
        """The next record of one partition, readable or not: the failure does not say whose it was."""
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


def _unreadable(partition: TopicPartition, offset: int) -> ConsumerRecord:
    """A record with its origin only; its header is one that nobody can decode."""
    return ConsumerRecord(partition.topic, partition.partition, offset, 0, 0, None, None, None, 0, 0, [("", None)])


async def parse_without_headers(record: Any, original: Callable[[Any], Awaitable[Any]]) -> Any:  # noqa: ANN401 - as FastStream calls it
    """FastStream decodes headers before any middleware sees them, and one that is no UTF-8 would be lost in silence."""
    bare = (
        tuple(replace(one, headers=()) for one in record) if isinstance(record, tuple) else replace(record, headers=())
    )
    message = await original(bare)
    message.raw_message = record
    return message


class TolerantBroker(KafkaBroker):
    """FastStream's broker, whose subscribers read with a PatientConsumer."""

    async def _connect(self) -> Callable[..., AIOKafkaConsumer]:
        builder = await super()._connect()
        assert isinstance(builder, partial)  # noqa: S101 - that is how FastStream keeps the options
        self.config.broker_config.builder = partial(TolerantConsumer, **builder.keywords)
        return self.config.broker_config.builder
