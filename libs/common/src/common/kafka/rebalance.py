"""What a consumer does when its partitions are revoked or assigned."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from contract.topics import Topic

from common.metrics import CONSUMER_PARTITIONS, CONSUMER_UNSTEADY

log = structlog.get_logger()

REVOKE_DEADLINE = 15.0
UNSTEADY, WITHIN = 5, 60.0
"""A group rebalances so often in so many seconds only where two processes have the same INSTANCE_NAME."""


class FinishBeforeRevoke(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Keeps a partition until the current batch is committed, so that a rolling restart delivers nothing twice."""

    def __init__(
        self,
        topic: Topic,
        clock: Callable[[], float] = time.monotonic,
        forget: Callable[[set[TopicPartition]], None] = lambda _: None,
    ) -> None:
        """`forget` is called with partitions that others handle from now on."""
        self.subscriber: Any = None
        self._topic = topic.name
        self._forget = forget
        self._clock = clock
        self._assigned_at: deque[float] = deque(maxlen=UNSTEADY)
        self._unsteady_until = 0.0
        self._idle: bool | None = None
        CONSUMER_PARTITIONS.labels(self._topic)
        CONSUMER_UNSTEADY.labels(self._topic).set_function(lambda: self._clock() < self._unsteady_until)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        if revoked and self.subscriber is not None:
            await self.subscriber.lock.wait_release(REVOKE_DEADLINE)
            await self.subscriber.consumer.commit_handled()
        self._forget(revoked)
        CONSUMER_PARTITIONS.labels(self._topic).set(0)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Logs what this process handles, and a group that does not settle; positions are those of the group."""
        CONSUMER_PARTITIONS.labels(self._topic).set(len(assigned))
        if self._idle is not (idle := not assigned):
            self._idle = idle
            log.info("consumer.idle" if idle else "consumer.assigned", topic=self._topic, partitions=len(assigned))
        self._assigned_at.append(self._clock())
        if len(self._assigned_at) == UNSTEADY and self._assigned_at[-1] - self._assigned_at[0] < WITHIN:
            self._assigned_at.clear()
            self._unsteady_until = self._clock() + WITHIN
            log.error(
                "consumer.unsteady", topics=[self._topic], next_step="give each process an INSTANCE_NAME of its own"
            )
