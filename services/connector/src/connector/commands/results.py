"""Tells what became of commands: a row that is done and not told is published. The row is the outbox."""

import structlog
from common.database import Database
from common.errors import name_of
from common.kafka.publisher import Publisher, all_of
from common.wakeup import Wakeup
from common.watchdog import Watchdog
from contract.messages import CommandRejected, CommandSucceeded
from contract.topics import COMMAND_RESULTS

from connector.commands import inbox
from connector.commands.inbox import Result

log = structlog.get_logger()

LOOKS_EVERY = 1.0
AFTER_FAILURE = 2.0


class Results:
    """Several may run. After a crash a result is told again: the same event, byte for byte."""

    def __init__(self, database: Database, publisher: Publisher, watchdog: Watchdog) -> None:
        self._database = database
        self._publisher = publisher
        self._watchdog = watchdog
        self._wakeup = Wakeup()

    def wake(self) -> None:
        """A command may be done: look now."""
        self._wakeup.wake()

    async def run(self) -> None:
        """Tell until cancelled."""
        self._watchdog.register("results")
        while True:
            pause = LOOKS_EVERY
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 - the next round may find database and broker again
                log.warning("results.failed", error=name_of(error))
                pause = AFTER_FAILURE
            self._watchdog.beat("results")
            await self._wakeup.wait(pause)

    async def round(self) -> None:
        """Tell every result that is not known to be told."""
        self._wakeup.clear()
        while await self._tell():
            self._watchdog.beat("results")

    async def _tell(self) -> bool:
        """The rows are held while they are told, which a deadline bounds: what another process tells is not told twice."""
        async with self._database.transaction() as connection:
            results = await inbox.hold_untold(connection)
            await all_of(self._publish(one) for one in results)
            await inbox.note_told(connection, results)
        return bool(results)

    async def _publish(self, result: Result) -> None:
        key, event_id = result.account_id, f"{result.account_id}:{result.command_id}:result"
        await self._publisher.publish(
            COMMAND_RESULTS, message_of(result), key=key, event_id=event_id, at=result.done_at
        )


def message_of(result: Result) -> CommandSucceeded:
    """The result as programs hear it."""
    about = {
        "command_id": result.command_id,
        "account_id": result.account_id,
        "integration_id": result.integration_id,
    }
    if result.code is None:
        return CommandSucceeded.model_validate(about)
    return CommandRejected.model_validate(about | {"code": result.code, "detail": result.detail})
