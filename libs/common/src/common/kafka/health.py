"""Whether a subscriber is alive: its loop runs, it is a member of its group, and waiting records are handled."""

from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from contract.topics import Topic
from faststream.kafka.subscriber.usecase import LogicSubscriber

from common.watchdog import STALLED_AFTER, Watchdog


def subscriber_problem(subscriber: LogicSubscriber[Any], topic: Topic, watchdog: Watchdog) -> str | None:
    """The problem of a running subscriber, or None; one that is stopped, or has nothing to do, has none."""
    consumer = subscriber.consumer
    if not subscriber.running or consumer is None:
        watchdog.beat(topic.name)
        return None
    if all(task.done() for task in subscriber.tasks):  # FastStream keeps tasks that it has replaced
        return f"the consumer of {topic.name} has ended"
    if _left_its_group(consumer):
        return f"the consumer of {topic.name} is no member of its group any more"
    if refused := getattr(consumer, "refused", None):
        return f"the consumer of {topic.name} is refused: {refused}"
    if not any(_behind(consumer, partition) for partition in consumer.assignment()):
        watchdog.beat(topic.name)
        return None
    age = watchdog.age(topic.name)
    return f"{topic.name} has records and none was handled for {age:.0f} s" if age > STALLED_AFTER else None


def _left_its_group(consumer: AIOKafkaConsumer) -> bool:
    """An unexpected error ends the tasks of membership or heartbeats; nothing starts them again."""
    tasks = [
        getattr(consumer._coordinator, name, None)  # noqa: SLF001 - no public way
        for name in ("_coordination_task", "_heartbeat_task")
    ]
    return any(task is not None and task.done() for task in tasks)


def _behind(consumer: AIOKafkaConsumer, partition: TopicPartition) -> bool:
    assignment = consumer._subscription.subscription.assignment  # noqa: SLF001 - no public way
    state = assignment.state_value(partition)
    return bool(state and state.has_valid_position and (consumer.highwater(partition) or 0) > state.position)
