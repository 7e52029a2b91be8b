"""What a consumer does when its partitions are revoked or assigned."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition

log = structlog.get_logger()

REVOKE_DEADLINE = 15.0
UNSTEADY, WITHIN = 5, 60.0
"""A group rebalances so often in so many seconds only where two processes have the same INSTANCE_NAME."""


class FinishBeforeRevoke(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Keeps a partition until the current batch is committed, so that a rolling restart delivers nothing twice."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        forget: Callable[[set[TopicPartition]], None] = lambda _: None,
    ) -> None:
        """`forget` is called with partitions that others handle from now on."""
        self.subscriber: Any = None
        self._forget = forget
        self._clock = clock
        self._assigned_at: deque[float] = deque(maxlen=UNSTEADY)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        if revoked and self.subscriber is not None:
            await self.subscriber.lock.wait_release(REVOKE_DEADLINE)
        self._forget(revoked)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Logs a group that does not settle; positions are those of the group."""
        self._assigned_at.append(self._clock())
        if len(self._assigned_at) == UNSTEADY and self._assigned_at[-1] - self._assigned_at[0] < WITHIN:
            self._assigned_at.clear()
            topics = sorted({one.topic for one in assigned})
            log.error("consumer.unsteady", topics=topics, next_step="give each process an INSTANCE_NAME of its own")
