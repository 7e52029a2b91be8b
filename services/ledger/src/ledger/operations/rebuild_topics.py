"""Read the ledger's topics into the rebuilt tables, from their start and on to their present ends."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from aiokafka import TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError
from common.database import Database
from common.kafka.client import admin_client, make_broker
from common.kafka.dead_letters import DeadLetters
from common.kafka.placement import partition_of
from common.kafka.ranges import Span, reader, records_of
from common.replay import NullPublisher, Progress, ReplayHandlers, ReplayRequest, ReplaySettings, replay
from common.watchdog import Watchdog
from contract.access import LEDGER, group_of
from contract.topics import COSTS, INTEGRATIONS, Topic

from ledger.operations.replay import replay_handlers

ORDER = (INTEGRATIONS, COSTS)
"""Which integrations were erased is known before any cost is read."""
PATIENCE = 10.0
"""Seconds in which the live ledger may reach what was read here."""


class CountedDeadLetters(DeadLetters):
    """Counts what would be dead-lettered, and publishes nothing."""

    count = 0

    async def put(self, *_: object, **__: object) -> None:
        """Count the record."""
        self.count += 1


class TopicReader:
    """How far the topics were read, and what was read of them."""

    def __init__(self, settings: ReplaySettings, progress: Progress) -> None:
        self._settings = settings
        self._progress = progress
        self._publisher = NullPublisher(make_broker(settings, "ledger-rebuild"), "ledger", Watchdog())
        self._dead_letters = CountedDeadLetters(self._publisher, "ledger")
        self._reached: dict[Topic, dict[int, int]] = {}
        self.read = Counter[str]()
        """Records by topic."""

    @property
    def unreadable(self) -> int:
        """Records that cannot be read."""
        return self._dead_letters.count

    async def catch_up(self, database: Database) -> int:
        """Read on to the topics' present ends; returns how many records."""
        handlers = replace(replay_handlers(database, self._publisher, self._dead_letters), state=_no_state)
        return sum([await self._read_on(topic, handlers) for topic in ORDER])

    async def _read_on(self, topic: Topic, handlers: ReplayHandlers) -> int:
        async with reader(self._settings) as consumer:
            partitions = await consumer.partitions_of(topic)
            ends = {one.partition: end for one, end in (await consumer.end_offsets(partitions)).items()}
        # Where a topic has grown, a key's older records are on a partition with a lower number: a revision is what one
        # reading changed of the one before it.
        portions = [{one: ends[one]} for one in sorted(ends)] if len(ends) > topic.partitions else [ends]
        return sum([await self._read_to(topic, one, handlers) for one in portions])

    async def _read_to(self, topic: Topic, ends: dict[int, int], handlers: ReplayHandlers) -> int:
        """What is new of the partitions that `ends` names, up to there."""
        reached = self._reached.setdefault(topic, {})
        since = {one: reached.get(one, 0) for one in ends}
        if since == ends:
            return 0
        report = await replay(handlers, self._settings, ReplayRequest(topic, since, ends), self._progress)
        reached.update(ends)
        self.read[topic.name] += report.read
        return report.read

    async def first_records(self, integration_ids: Iterable[UUID]) -> dict[UUID, datetime | None]:
        """When the first record on the costs partition of each integration was published; None: the partition is empty."""
        instants, partitions = await self._first_instants(), self._settings.partitions_of(COSTS)
        return {one: instants.get(partition_of(str(one).encode(), partitions)) for one in integration_ids}

    async def _first_instants(self) -> dict[int, datetime | None]:
        found: dict[int, datetime | None] = {}
        async with reader(self._settings) as consumer:
            partitions = await consumer.partitions_of(COSTS)
            first, end = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
            spans = {one: Span(first[one], min(first[one] + 1, end[one])) for one in partitions}
            async for records in records_of(consumer, spans):
                for record in records:
                    found[record.partition] = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        return found

    async def live_catches_up(self) -> None:
        """Wait until the live ledger has handled what was read here, at most PATIENCE."""
        group = group_of(LEDGER.principal, COSTS)
        try:
            async with asyncio.timeout(PATIENCE), admin_client(self._settings, "ledger-rebuild") as admin:
                while self._live_is_behind(await admin.list_consumer_group_offsets(group)):
                    await asyncio.sleep(0.2)
        except (TimeoutError, GroupCoordinatorNotAvailableError):  # too slow, or this broker never had a group
            return

    def _live_is_behind(self, committed: dict[TopicPartition, Any]) -> bool:
        ends = {TopicPartition(COSTS.name, number): end for number, end in self._reached[COSTS].items()}
        return any(end > committed[one].offset for one, end in ends.items() if one in committed)


async def _no_state() -> dict[str, str]:
    """A checksum of tables that are being filled shows nothing."""
    return {}
