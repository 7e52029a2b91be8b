"""What a consumer does when its partitions go to another."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition

log = structlog.get_logger()

REVOKE_DEADLINE = 15.0
UNSTEADY, WITHIN = 5, 60.0
"""So many times in so many seconds a group shares its partitions out only where two processes take a name from each other."""


class FinishBeforeRevoke(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Keeps a partition until the batch in hand is committed, so that a rolling restart delivers nothing twice."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.subscriber: Any = None
        self._clock = clock
        self._shared_out: deque[float] = deque(maxlen=UNSTEADY)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        if revoked and self.subscriber is not None:
            await self.subscriber.lock.wait_release(REVOKE_DEADLINE)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Nothing to prepare: positions are the group's. A group that does not come to rest is told of."""
        self._shared_out.append(self._clock())
        if len(self._shared_out) == UNSTEADY and self._shared_out[-1] - self._shared_out[0] < WITHIN:
            self._shared_out.clear()
            topics = sorted({one.topic for one in assigned})
            log.error("consumer.unsteady", topics=topics, next_step="give each process an INSTANCE_NAME of its own")
