"""Whether a subscriber is alive: its loop runs, it is a member of its group, and waiting records are handled."""

import time
from typing import Any

from contract.topics import Topic
from faststream.kafka.subscriber.usecase import LogicSubscriber

from common.kafka.consumer_state import is_behind, membership_ended
from common.kafka.delivery import Unfinished
from common.watchdog import STALLED_AFTER, Watchdog


def subscriber_problem(subscriber: LogicSubscriber[Any], topic: Topic, watchdog: Watchdog) -> str | None:
    """The problem of a running subscriber, or None; one that is stopped, or has nothing to do, has none."""
    consumer = subscriber.consumer
    if not subscriber.running or consumer is None:
        watchdog.beat(topic.name)
        return None
    if all(task.done() for task in subscriber.tasks):  # FastStream keeps tasks that it has replaced
        return f"the consumer of {topic.name} has ended"
    if membership_ended(consumer):
        return f"the consumer of {topic.name} is no member of its group any more"
    if refused := getattr(consumer, "refused", None):
        return f"the consumer of {topic.name} is refused: {refused}"
    if not is_behind(consumer):
        watchdog.beat(topic.name)
        return None
    age = watchdog.age(topic.name)
    return f"{topic.name} has records and none was handled for {age:.0f} s" if age > STALLED_AFTER else None


def backlog_age(subscriber: LogicSubscriber[Any], unfinished: Unfinished) -> float:
    """Seconds since the oldest record was written that this process has and did not handle; 0: none waits."""
    consumer = subscriber.consumer
    if not subscriber.running or consumer is None:
        return 0.0
    since = unfinished.waits_since(behind=is_behind(consumer))
    return max(time.time() - since / 1000, 0.0) if since else 0.0
