"""Read a range of a topic by time or offset, without a consumer group: for operators, who look and replay."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from aiokafka import TopicPartition
from contract.cloudevents import Record
from contract.topics import Topic

from common.errors import TransientError
from common.kafka.client import client_options
from common.kafka.tolerant_consumer import TolerantConsumer
from common.settings import KafkaSettings

SILENCE = 30.0
"""Seconds without a record after which a range that is not at its end is abandoned."""


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of one partition, from `first` to the one before `end`."""

    first: int
    end: int

    @property
    def count(self) -> int:
        """Records at most: compaction leaves gaps."""
        return max(self.end - self.first, 0)


Range = Mapping[TopicPartition, Span]
Bound = datetime | Mapping[int, int] | None
"""An aware instant, by the broker's timestamps; or offsets by partition; None: the start, or the present end."""


@asynccontextmanager
async def reader(settings: KafkaSettings) -> AsyncIterator[TolerantConsumer]:
    """A consumer without a group: it commits nothing and takes no partition from anybody."""
    consumer = TolerantConsumer(
        **client_options(settings), client_id="grafient", enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()  # also of one that could not start


async def range_of(consumer: TolerantConsumer, topic: Topic, since: Bound = None, until: Bound = None) -> Range:
    """What `topic` holds now from `since` to before `until`; offsets restrict it to the partitions that they name."""
    named = [set(bound) for bound in (since, until) if isinstance(bound, Mapping)]
    every = await consumer.partitions_of(topic)
    partitions = [one for one in every if all(one.partition in numbers for numbers in named)]
    if not partitions:
        return {}
    first = await consumer.beginning_offsets(partitions)
    end = await consumer.end_offsets(partitions)
    since_offsets = await _offsets_at(consumer, partitions, since, otherwise=end)
    until_offsets = await _offsets_at(consumer, partitions, until, otherwise=end)
    return {
        one: Span(max(first[one], since_offsets.get(one, 0)), min(end[one], until_offsets.get(one, end[one])))
        for one in partitions
    }


async def _offsets_at(
    consumer: TolerantConsumer,
    partitions: list[TopicPartition],
    bound: Bound,
    otherwise: Mapping[TopicPartition, int],
) -> dict[TopicPartition, int]:
    """First offset of each partition at or after `bound`; nothing where it is None."""
    if bound is None:
        return {}
    if isinstance(bound, Mapping):
        return {one: bound[one.partition] for one in partitions}
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, int(bound.timestamp() * 1000)))
    return {one: found[one].offset if found.get(one) else otherwise[one] for one in partitions}


async def records_of(consumer: TolerantConsumer, span_of: Range, *, at_most: int = 500) -> AsyncIterator[list[Record]]:
    """Every record of the range, in batches, each partition in order; raises TransientError after SILENCE."""
    left = {partition: span for partition, span in span_of.items() if span.count}
    consumer.assign(list(left))
    for partition, span in left.items():
        consumer.seek(partition, span.first)
    last_batch = asyncio.get_running_loop().time()
    while left:
        batches = await consumer.getmany(*left, timeout_ms=500, max_records=at_most)
        found = [one for part, batch in batches.items() for one in batch if one.offset < left[part].end]
        now = asyncio.get_running_loop().time()
        last_batch = now if batches else last_batch
        if now - last_batch > SILENCE:
            raise TransientError("the broker gives no more records")
        if found:
            yield found
        left = {part: span for part, span in left.items() if await consumer.position(part) < span.end}
