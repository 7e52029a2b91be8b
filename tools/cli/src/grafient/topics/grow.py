"""Give a topic more partitions, with everything stopped, so that no key loses its order."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from common.errors import UserError
from common.kafka.client import admin_client, make_broker
from common.kafka.publisher import Outgoing, Publisher
from common.kafka.ranges import Range, range_of, reader, records_of
from common.kafka.tolerant_consumer import TolerantBroker
from common.settings import KafkaSettings
from common.watchdog import Watchdog
from contract.cloudevents import Record, lenient_headers
from contract.topics import PURGE_VERSION, TOPICS, Topic

from grafient.cli.progress import Update
from grafient.topics.groups import REPUBLISHED, ensure_stopped
from grafient.topics.moves import CompactedTopic, Moves

NAME = "grafient-topics"
APPEAR_DEADLINE = 30.0
"""Seconds until the brokers know partitions that were just created."""
AT_ONCE = 500
"""Records."""
Bar = Callable[[str], Update]


@dataclass(frozen=True, slots=True)
class Grown:
    """What was done, or with a dry run would be."""

    topic: str
    before: int
    """Partitions."""
    partitions: int
    copied: int
    """States that were published again on their new partition."""
    purged: int
    """Tombstones on the partition where a state was before."""
    unreadable: int
    """Records that cannot be read, and stay where they are."""
    setting: str
    """Value of TOPIC_PARTITIONS for every service and command from now on."""


async def grow(settings: KafkaSettings, topic: Topic, partitions: int, bar: Bar, *, dry_run: bool = False) -> Grown:
    """Create the partitions, then publish each compacted state on the one where its key is from now on.

    Run again, it does what is left to do. Raises UserError while a program uses the topic, or for another count than it
    can have.
    """
    async with admin_client(settings, NAME) as admin:
        before = await _count(admin, topic)
        if before > partitions:
            raise UserError(f"{topic.name} has {before} partitions: a count never shrinks", "give that or a higher one")
        if partitions % (lower := min(before, settings.partitions_of(topic))):
            raise UserError(f"{partitions} is no multiple of {lower}", "give one: a rebuild reads old partitions first")
        async with reader(settings) as consumer:
            await ensure_stopped(settings, admin, consumer, topic)
        if before < partitions and not dry_run:
            await _create(admin, topic, partitions)
    found, moves = CompactedTopic(topic), Moves({}, [])
    if topic.compacted:
        span_of = await _read(settings, found, bar("reading"))
        moves = found.moves(partitions)
        if not dry_run:
            await _publish(settings, topic, partitions, moves, span_of, bar("publishing"))
    setting = setting_with(settings, topic, partitions)
    return Grown(
        topic.name, before, partitions, len(moves.copies), len(moves.purges), found.unreadable.total(), setting
    )


def setting_with(settings: KafkaSettings, topic: Topic, partitions: int) -> str:
    """The value of TOPIC_PARTITIONS with which `topic` has so many, and the others as many as before."""
    counts = {one.name: settings.partitions_of(one) for one in TOPICS} | {topic.name: partitions}
    return ",".join(f"{one.name}={counts[one.name]}" for one in TOPICS if counts[one.name] != one.partitions)


async def _count(admin: AIOKafkaAdminClient, topic: Topic) -> int:
    (found,) = await admin.describe_topics([topic.name])
    if found["error_code"]:
        raise UserError(f"there is no {topic.name}", "`grafient topics apply` creates it")
    return len(found["partitions"])


async def _create(admin: AIOKafkaAdminClient, topic: Topic, partitions: int) -> None:
    await admin.create_partitions({topic.name: NewPartitions(partitions)})
    async with asyncio.timeout(APPEAR_DEADLINE):
        while await _count(admin, topic) < partitions:
            await asyncio.sleep(0.05)


async def _read(settings: KafkaSettings, found: CompactedTopic, progress: Update) -> Range:
    """The whole topic, into `found`; returns what that was."""
    async with reader(settings) as consumer:
        span_of, read = await range_of(consumer, found.topic), 0
        total = sum(span.count for span in span_of.values())
        async for records in records_of(consumer, span_of):
            for record in records:
                found.add(record)
            progress(read := read + len(records), total)
    return span_of


async def _publish(
    settings: KafkaSettings, topic: Topic, partitions: int, moves: Moves, span_of: Range, progress: Update
) -> None:
    """Copies before purges: whatever interrupts this, no state is missing."""
    done, total = 0, len(moves.copies) + len(moves.purges)
    async with make_broker(settings, NAME) as broker:
        await broker.connect()
        await _known(broker, topic, partitions)
        publisher = Publisher(broker, NAME, Watchdog())
        async for outgoing in _outgoing(settings, topic, moves, span_of):
            await publisher.publish_all(outgoing)
            progress(done := done + len(outgoing), total)


async def _known(broker: TolerantBroker, topic: Topic, partitions: int) -> None:
    """Wait until the producer knows every partition: each broker learns of new ones a little later."""
    async with asyncio.timeout(APPEAR_DEADLINE):
        while len(await broker.producer.partitions_for(topic.name)) < partitions:
            await broker.producer.client.force_metadata_update()
            await asyncio.sleep(0.05)


async def _outgoing(
    settings: KafkaSettings, topic: Topic, moves: Moves, span_of: Range
) -> AsyncIterator[list[Outgoing]]:
    if moves.copies:
        async with reader(settings) as consumer:
            async for records in records_of(consumer, span_of, at_most=AT_ONCE):
                yield [
                    _copy(topic, one, moves.copies[place]) for one in records if (place := _place(one)) in moves.copies
                ]
    headers = {"credential_version": str(PURGE_VERSION), REPUBLISHED: "1"}
    for first in range(0, len(moves.purges), AT_ONCE):
        yield [Outgoing(topic, None, key, headers, one) for key, one in moves.purges[first : first + AT_ONCE]]


def _place(record: Record) -> tuple[int, int]:
    return record.partition, record.offset


def _copy(topic: Topic, record: Record, partition: int) -> Outgoing:
    headers = lenient_headers(record) | {REPUBLISHED: "1"}
    return Outgoing(topic, record.value, record.key or b"", headers, partition)
