"""The consumer groups of a topic: whether all have ended, and whether they have handled everything."""

import asyncio
from collections.abc import Mapping

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from common.errors import TransientError, UserError
from common.kafka.ranges import range_of, records_of
from common.kafka.tolerant_consumer import TolerantConsumer
from common.settings import KafkaSettings
from confluent_kafka import ConsumerGroupState
from contract.access import ACCESS, WEBAPP, consumers_of, group_of
from contract.topics import Topic

from grafient.cli.topics import not_committed
from grafient.topics import acls

ENDED = {ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD}
REPUBLISHED = "grafient_republished"
"""Header of a record that `grow` wrote: one that was interrupted finds it waiting, and passes over it."""
Offsets = Mapping[TopicPartition, int]


async def ensure_stopped(
    settings: KafkaSettings, admin: AIOKafkaAdminClient, consumer: TolerantConsumer, topic: Topic
) -> None:
    """Raises UserError while a program that uses `topic` consumes, or has records of it left to handle."""
    states = await asyncio.to_thread(_states, settings)
    offsets = {group: await _offsets(admin, group, topic) for group in states}
    running = [group for group, ended in states.items() if not ended and (offsets[group] or _uses(group, topic))]
    if running:
        raise UserError(
            f"{', '.join(sorted(running))} still run",
            "stop all programs that read or write the topic; one with an INSTANCE_NAME leaves its group 30 s later",
        )
    readers = {group_of(service, topic) for service in consumers_of(topic)}
    for group in sorted(readers | {group for group, known in offsets.items() if known}):
        known = offsets.get(group, {})
        if waiting := await _waiting(consumer, topic, known, whole=group in readers):
            raise UserError(
                f"{waiting} records of {topic.name} wait for {group}",
                "start that program until `grafient lag` shows none, stop it, and run this again; where the services refuse "
                "the partition count, set TOPIC_PARTITIONS to the present one meanwhile; delete a group that nobody uses",
            )


def _uses(group: str, topic: Topic) -> bool:
    """Whether a program that reads or writes `topic` consumes in `group`, whatever it reads there."""
    if topic in WEBAPP.topics and group.startswith(f"{WEBAPP.principal}."):
        return True
    services = [access for access in ACCESS.values() if topic in access.topics and not access.free_groups]
    return any(group == group_of(access.principal, read) for access in services for read in access.reads)


def _states(settings: KafkaSettings) -> dict[str, bool]:
    """Of every group of the cluster, whether it has ended; aiokafka does not know the newer kind of groups."""
    with acls.operators_client(settings) as client:
        found = client.list_consumer_groups(request_timeout=acls.DEADLINE).result(acls.DEADLINE)
    if found.errors:
        raise TransientError("not every broker lists its groups")
    return {one.group_id: one.state in ENDED for one in found.valid}


async def _offsets(admin: AIOKafkaAdminClient, group: str, topic: Topic) -> Offsets:
    try:
        found = await admin.list_consumer_group_offsets(group)
    except GroupCoordinatorNotAvailableError:  # this broker never had a consumer group
        return {}
    return {one: committed.offset for one, committed in found.items() if one.topic == topic.name}


async def _waiting(consumer: TolerantConsumer, topic: Topic, offsets: Offsets, *, whole: bool) -> int:
    """Records after `offsets`; of partitions without one only with `whole`."""
    left = {
        one: span
        for one, span in not_committed(await range_of(consumer, topic), offsets).items()
        if span.count and (whole or one in offsets)
    }
    if not topic.compacted:
        return sum(span.count for span in left.values())
    batches = [batch async for batch in records_of(consumer, left)]
    return sum(REPUBLISHED not in dict(record.headers) for batch in batches for record in batch)
