"""What a consumer does when its partitions go to another."""

from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition

REVOKE_DEADLINE = 15.0


class FinishBeforeRevoke(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Keeps a partition until the batch in hand is committed, so that a rolling restart delivers nothing twice."""

    def __init__(self) -> None:
        self.subscriber: Any = None

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        if revoked and self.subscriber is not None:
            await self.subscriber.lock.wait_release(REVOKE_DEADLINE)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Nothing to prepare: positions are the group's."""
