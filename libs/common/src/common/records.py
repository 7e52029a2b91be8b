"""A consumer that no record can stop: one whose header names are not text is handed over without its content."""

from collections.abc import Callable
from functools import partial

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from faststream.kafka import KafkaBroker

STEP_MS = 500
"""How long a step waits for a partition's next record, which has to be fetched again."""


class PatientConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka is untyped
    """aiokafka decodes the names of headers while it reads, fails, and would fail on the same record for ever."""

    _careful = False
    """Batches hold one record until the unreadable one is passed: only then it is known which one that is."""

    async def getone(self, *partitions: TopicPartition) -> ConsumerRecord:
        while True:
            try:
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
            found = await super().getmany(*partitions, timeout_ms=timeout_ms, max_records=limit)
        except UnicodeDecodeError:
            if self._careful:
                return await self._step()
            self._careful = True
            await self._rewind(before)
        return found

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


class PatientBroker(KafkaBroker):
    """FastStream's broker, whose subscribers read with a PatientConsumer."""

    async def _connect(self) -> Callable[..., AIOKafkaConsumer]:
        builder = await super()._connect()
        assert isinstance(builder, partial)  # noqa: S101 - that is how FastStream keeps the options
        self.config.broker_config.builder = partial(PatientConsumer, **builder.keywords)
        return self.config.broker_config.builder
