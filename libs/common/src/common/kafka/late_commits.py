"""Offsets are committed a while after their records were handled, once for all of that while."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from common.errors import name_of
from common.kafka.consumer_state import assignment_of, positions

log = structlog.get_logger()

COMMIT_SECONDS = 0.5
"""From the end of a batch to the commit of its offsets, at most: after a crash what was handled since then comes again.

A commit takes the broker as long as the records do, and would take it while the next service handles what they led to.
"""
COMMIT_DEADLINE = 5.0
"""Seconds for the last commit before others have the partitions."""


class LateCommits:
    """What a consumer has handled and not committed."""

    def __init__(
        self, consumer: AIOKafkaConsumer, commit: Callable[[dict[TopicPartition, int]], Awaitable[None]]
    ) -> None:
        """`commit` commits at once."""
        self._consumer = consumer
        self._commit = commit
        self._handled: dict[TopicPartition, int] = {}
        self._assignment: object = None
        self._committing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def note(self) -> None:
        """All that was polled so far is handled; what is polled from now on is not."""
        self._assignment, self._handled = assignment_of(self._consumer), positions(self._consumer)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._commit_late(), context=Context())  # of nobody's trace

    async def commit(self) -> None:
        """Commit what is left before others handle the partitions; after COMMIT_DEADLINE they get it again."""
        try:
            async with asyncio.timeout(COMMIT_DEADLINE):
                await self._commit_handled()
        except TimeoutError:
            self._stop()  # once the broker answers, it would commit from where others have continued

    async def end(self) -> None:
        await self.commit()
        self._stop()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _commit_late(self) -> None:
        while self._handled:
            await asyncio.sleep(COMMIT_SECONDS)
            await self._commit_handled()

    async def _commit_handled(self) -> None:
        async with self._committing:
            offsets, self._handled = self._handled, {}
            if not offsets or assignment_of(self._consumer) is not self._assignment:
                return  # others have gone on from there
            try:
                await self._commit(offsets)
            except KafkaError as error:
                topics = sorted({partition.topic for partition in offsets})
                log.warning("consumer.not_committed", topics=topics, error=name_of(error))
