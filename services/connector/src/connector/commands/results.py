"""Publishes the results of commands: a row that is done and has no `published_at`. The row is the outbox."""

from common.database import Database
from common.kafka.publisher import Publisher, all_of
from common.loops import Loop
from common.watchdog import Watchdog
from contract.messages import CommandRejected, CommandSucceeded
from contract.topics import COMMAND_RESULTS
from contract.tracing import tracing

from connector.commands import inbox
from connector.commands.inbox import Result

POLL_EVERY = 1.0


class Results:
    """Several may run. After a crash, or for a command sent again, the same event is published, byte for byte."""

    def __init__(self, database: Database, publisher: Publisher, watchdog: Watchdog) -> None:
        self._database = database
        self._publisher = publisher
        self._loop = Loop("results", watchdog, self.publish_due, every=POLL_EVERY)
        self.run = self._loop.run
        self.wake = self._loop.wake

    async def publish_due(self) -> None:
        """Publish every result that is not known to be published, and those that senders wait for once more."""
        async with self._database.direct() as driver:
            await inbox.repeat_due(driver)
        while await self._publish_batch():
            self._loop.beat()

    async def _publish_batch(self) -> bool:
        """The rows are locked meanwhile, which a deadline bounds: no two processes publish the same result."""
        # No pipeline: Postgres takes one for active, and would not end it where this process hangs.
        async with self._database.transaction() as connection:
            results = await inbox.lock_unpublished(connection)
            await all_of(self._publish(one) for one in results)
            await inbox.mark_published(connection, results)
        return bool(results)

    async def _publish(self, result: Result) -> None:
        key, event_id = result.account_id, f"{result.account_id}:{result.command_id}:result"
        with tracing(result.traceparent):
            await self._publisher.publish(
                COMMAND_RESULTS, message_of(result), key=key, event_id=event_id, at=result.done_at
            )


def message_of(result: Result) -> CommandSucceeded:
    about = {
        "command_id": result.command_id,
        "account_id": result.account_id,
        "integration_id": result.integration_id,
    }
    if result.code is None:
        return CommandSucceeded.model_validate(about)
    return CommandRejected.model_validate(about | {"code": result.code, "detail": result.detail})
