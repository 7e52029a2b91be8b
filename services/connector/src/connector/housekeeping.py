"""What the connector does once an hour: deletes what has expired, and marks the topic of credentials."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from common.database import Database
from common.kafka.publisher import Publisher
from common.loops import Loop
from common.watchdog import Watchdog
from contract.cloudevents import MARKER_KEY
from contract.topics import COSTS, CREDENTIALS
from sqlalchemy.ext.asyncio import AsyncConnection

from connector import syncs
from connector.commands import inbox
from connector.events import event_log

EVERY = timedelta(hours=1)
AFTER_FAILURE = timedelta(minutes=1)
KEEP_SYNCS = COSTS.retention
"""As long as the topic of their costs."""
KEEP_EVENTS = timedelta(days=7)
KEEP_COMMANDS = timedelta(days=30)
"""Longer than a command can arrive again: it is on its topic for a week, and valid for a week more."""
RETENTION: dict[Callable[[AsyncConnection, timedelta], Awaitable[None]], timedelta] = {
    syncs.delete_expired: KEEP_SYNCS,
    event_log.delete_expired: KEEP_EVENTS,
    inbox.delete_expired: KEEP_COMMANDS,
}


class Housekeeping:
    """Several may run."""

    def __init__(self, database: Database, publisher: Publisher, watchdog: Watchdog) -> None:
        self._database = database
        self._publisher = publisher
        self._loop = Loop(
            "housekeeping",
            watchdog,
            self.clean_up,
            every=EVERY.total_seconds(),
            after_failure=[AFTER_FAILURE.total_seconds()],
        )
        self.run = self._loop.run

    async def clean_up(self) -> None:
        await self.delete_expired()
        await self.mark_credentials()

    async def delete_expired(self) -> None:
        for delete, keep in RETENTION.items():
            async with self._database.transaction() as connection:
                await delete(connection, keep)
            self._loop.beat()

    async def mark_credentials(self) -> None:
        """Write a marker to each partition: it rolls the segment, so that compaction purges tombstones."""
        for partition in range(self._publisher.partitions_of(CREDENTIALS)):
            await self._publisher.send(CREDENTIALS, b"{}", key=MARKER_KEY.encode(), headers={}, partition=partition)
            self._loop.beat()
