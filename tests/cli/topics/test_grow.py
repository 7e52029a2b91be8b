"""A topic on the real broker grows: refused while anybody uses it, continued where it was interrupted."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from common.errors import TransientError, UserError
from common.kafka.placement import partition_of
from common.kafka.publisher import Outgoing, Publisher
from common.settings import KafkaSettings
from contract.cloudevents import Tombstone, decode
from contract.topics import COSTS, CREDENTIALS, Topic
from grafient.topics.grow import Grown, grow, setting_with

from tests.support.consumer_bench import records_of
from tests.support.messages import credential_sealed, wire

publish_all = Publisher.publish_all
IDS = [UUID(int=number) for number in range(1, 41)]


@dataclass
class Growing:
    """A topic of credentials with six partitions, and a credential of each integration."""

    topic: Topic
    admin: AIOKafkaAdminClient
    settings: KafkaSettings
    producer: AIOKafkaProducer

    async def seal(self, integration_id: UUID, version: int = 1) -> None:
        value, headers = wire(credential_sealed(integration_id, credential_version=version))
        await self.producer.send_and_wait(self.topic.name, value, key=str(integration_id).encode(), headers=headers)

    async def grow(self, partitions: int = 30, *, dry_run: bool = False) -> Grown:
        return await grow(self.settings, self.topic, partitions, lambda _: lambda _, __: None, dry_run=dry_run)

    async def count(self) -> int:
        ((found),) = await self.admin.describe_topics([self.topic.name])
        return len(found["partitions"])

    @asynccontextmanager
    async def group(self) -> AsyncIterator[AIOKafkaConsumer]:
        """A consumer in a group of its own, with partitions."""
        servers, group = self.settings.kafka_bootstrap_servers, f"test.{uuid4().hex}"
        consumer = AIOKafkaConsumer(
            self.topic.name,
            bootstrap_servers=servers,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()


@pytest.fixture
async def growing(kafka: str) -> AsyncIterator[Growing]:
    topic = replace(CREDENTIALS, name=f"test.{uuid4().hex}")
    admin, producer = AIOKafkaAdminClient(bootstrap_servers=kafka), AIOKafkaProducer(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic.name, 6, 1)])
    await producer.start()
    growing = Growing(topic, admin, KafkaSettings(kafka_bootstrap_servers=kafka), producer)
    for one in IDS:
        await growing.seal(one)
    yield growing
    await producer.stop()
    await admin.delete_topics([topic.name])
    await admin.close()


async def half(self: Publisher, records: Sequence[Outgoing]) -> None:
    """What the broker has of the first records when it is gone."""
    await publish_all(self, records[: len(records) // 2])
    raise TransientError("the broker is gone")


async def copies_only(self: Publisher, records: Sequence[Outgoing]) -> None:
    """The same, once all copies are published."""
    await (half if records[0].body is None else publish_all)(self, records)


async def newest(growing: Growing) -> dict[tuple[UUID, int], int]:
    """By integration and partition, the credential's version that compaction leaves; nothing for a tombstone."""
    found: dict[tuple[UUID, int], int] = {}
    for record in await records_of(growing.settings.kafka_bootstrap_servers, replace(growing.topic, partitions=30)):
        message = decode(record, growing.topic).message
        place = UUID(record.key.decode()), record.partition
        if isinstance(message, Tombstone):
            assert message.headers["credential_version"] == "0"
            found.pop(place, None)
        else:
            found[place] = getattr(message, "credential_version")  # noqa: B009 - of the one other message
    return found


def right(version_of_first: int = 1) -> dict[tuple[UUID, int], int]:
    """Every credential once, where its key is of 30 partitions."""
    return {(one, partition_of(str(one).encode(), 30)): version_of_first if one == IDS[0] else 1 for one in IDS}


async def test_each_newest_credential_is_on_its_new_partition_and_on_no_other(growing: Growing) -> None:
    await growing.seal(IDS[0], version=2)

    grown = await growing.grow()

    assert (grown.before, grown.partitions, grown.copied, grown.purged) == (6, 30, grown.purged, grown.copied)
    assert await growing.count() == 30
    assert await newest(growing) == right(version_of_first=2)
    again = await growing.grow()
    assert (again.before, again.copied, again.purged, again.unreadable) == (30, 0, 0, 0)


async def test_one_that_is_interrupted_anywhere_is_continued_by_running_it_again(
    growing: Growing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for broken in (half, copies_only):
        monkeypatch.setattr(Publisher, "publish_all", broken)
        with pytest.raises(TransientError):
            await growing.grow()
    monkeypatch.undo()
    await growing.grow()

    assert await newest(growing) == right()


async def test_it_waits_for_the_programs_that_read_it_to_have_handled_everything_and_ended(growing: Growing) -> None:
    async with growing.group() as consumer:
        await consumer.getone()
        await consumer.commit()
        with pytest.raises(UserError, match="still run"):
            await growing.grow()

    with pytest.raises(UserError, match=rf"records of {growing.topic.name} wait for test\."):
        await growing.grow()
    assert await growing.count() == 6


async def test_what_it_published_itself_keeps_nobody_waiting(growing: Growing, monkeypatch: pytest.MonkeyPatch) -> None:
    async with growing.group() as consumer:
        read = 0
        while read < len(IDS):
            read += sum(map(len, (await consumer.getmany(timeout_ms=500)).values()))
        await consumer.commit()
    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "publish_all", half)
        with pytest.raises(TransientError):
            await growing.grow()

    await growing.grow()

    assert await newest(growing) == right()


async def test_a_dry_run_counts_and_changes_nothing(growing: Growing) -> None:
    planned = await growing.grow(dry_run=True)

    assert planned.copied == planned.purged > 20
    assert await growing.count() == 6


async def test_a_count_never_shrinks(growing: Growing) -> None:
    with pytest.raises(UserError, match="has 6 partitions: a count never shrinks"):
        await growing.grow(3)


async def test_a_count_that_would_put_later_records_on_a_lower_partition_is_refused(growing: Growing) -> None:
    with pytest.raises(UserError, match="8 is no multiple of 6"):
        await growing.grow(8)


def test_the_setting_names_every_count_that_is_not_the_declared_one() -> None:
    settings = KafkaSettings(kafka_bootstrap_servers="a:1", topic_partitions={CREDENTIALS.name: 12, COSTS.name: 30})

    assert setting_with(settings, COSTS, 60) == f"{CREDENTIALS.name}=12,{COSTS.name}=60"
    assert setting_with(settings, CREDENTIALS, 6) == f"{COSTS.name}=30"
