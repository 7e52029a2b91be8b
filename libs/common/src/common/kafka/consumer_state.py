"""What reaches into aiokafka's consumers: what is read of their state, and when they fetch.

The test of this file fails when the code that it relies on changes.
"""

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.subscription_state import Assignment

A_DAY = 86_400.0
"""Seconds."""


def fetch_once_all_is_polled(consumer: AIOKafkaConsumer) -> None:
    """Let a started consumer fetch from a broker only when all that it has of that broker was polled.

    It has one request at a time. Were partitions without records asked alone, the broker would keep that request for
    500 ms, and partitions with more records would wait as long. Not for consumers that poll only some of their partitions.
    """
    consumer._fetcher._prefetch_backoff = A_DAY  # noqa: SLF001 - no public way; aiokafka asks 0.1 s after the last answer


def membership_ended(consumer: AIOKafkaConsumer) -> bool:
    """Whether a task of membership or heartbeats has ended, by an unexpected error: nothing starts it again."""
    names = ("_coordination_task", "_heartbeat_task")
    tasks = [getattr(consumer._coordinator, name, None) for name in names]  # noqa: SLF001 - no public way
    return any(task is not None and task.done() for task in tasks)


def assignment_of(consumer: AIOKafkaConsumer) -> Assignment | None:
    """Its partitions and their positions; another object after each time that the group has shared them out."""
    subscription = consumer._subscription.subscription  # noqa: SLF001 - no public way
    return subscription.assignment if subscription else None


def positions(consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
    """The next offset of each assigned partition that has one."""
    assignment = assignment_of(consumer)
    if assignment is None:
        return {}
    return {partition: known.offset for partition, known in assignment.all_consumed_offsets().items()}


def is_behind(consumer: AIOKafkaConsumer) -> bool:
    """Whether its partitions have records that were not polled, by the broker's last answer."""
    return any((consumer.highwater(partition) or 0) > offset for partition, offset in positions(consumer).items())
