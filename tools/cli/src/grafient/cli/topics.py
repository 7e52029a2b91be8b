"""Which services handle which topic, and how far they have come."""

from collections.abc import Mapping

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from common.kafka.ranges import Range, Span
from contract.access import consumers_of, group_of
from contract.topics import TOPICS, Topic

HANDLED_BY = {topic.name: services for topic in TOPICS if (services := consumers_of(topic))}
"""The services that handle a topic, by its name; topics that no service handles are absent."""


async def committed(admin: AIOKafkaAdminClient, service: str, topic: Topic) -> dict[TopicPartition, int]:
    """By partition, the offset after the last record that `service` has handled; empty where it never ran."""
    try:
        offsets = await admin.list_consumer_group_offsets(group_of(service, topic))
    except GroupCoordinatorNotAvailableError:  # this broker never had a consumer group
        return {}
    return {partition: found.offset for partition, found in offsets.items()}


def not_committed(whole: Range, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, Span]:
    """What is left of `whole` after `offsets`; a partition without an offset is left from its start."""
    return {
        one: Span(max(span.first, offsets.get(one, -1)), span.end)
        for one, span in whole.items()
        if span.end > offsets.get(one, -1)
    }
