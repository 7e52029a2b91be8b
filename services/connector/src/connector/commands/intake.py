"""The arrival of a command: it is stored once, and waits its turn; what cannot be done is rejected at once."""

from collections.abc import Callable

import structlog
from common.database import Database
from common.kafka.failure_policy import UNKNOWN
from common.metrics import COMMANDS_ENDED
from contract.cloudevents import Event, MalformedError, Record
from contract.messages import Command
from contract.problems import Code

from connector import store
from connector.commands import inbox
from connector.commands.inbox import UNREAD, Rejection
from connector.commands.rejections import Sender, of_unreadable, on_arrival, sender_of

log = structlog.get_logger()


class Intake:
    """The first arrival of an ID counts, whatever a later one contains."""

    def __init__(self, database: Database, wake_worker: Callable[[], None], wake_results: Callable[[], None]) -> None:
        self._database = database
        self._wake_worker = wake_worker
        self._wake_results = wake_results

    async def take(self, event: Event[Command]) -> None:
        """Store a new command. One that is sent again gets the result of the first: its sender may wait for it."""
        if not await self._keep(event.message):
            await self._repeat(event.message)

    async def replay(self, event: Event[Command]) -> None:
        """Store a new command, and publish no result again: nobody waits for what an operator replays."""
        await self._keep(event.message)

    async def _keep(self, command: Command) -> bool:
        async with self._database.transaction() as connection:
            rejection = on_arrival(command, await store.now(connection))
            is_new = rejection is None and await inbox.keep(connection, command)
        if rejection is not None:
            return await self._reject(command, type(command).__name__, rejection)
        self._wake_worker()
        return is_new

    async def reject_unreadable(self, record: Record, error: MalformedError) -> bool:
        """Answer what becomes a dead letter, where its sender can be read; nothing else of it is stored.

        Returns whether that is all that has to be done: a fault of ours has to be repaired as well.
        """
        sender = sender_of(record, error)
        if sender is not None and not await self._reject(sender, None, of_unreadable(record, error)):
            await self._repeat(sender)
        return sender is not None and error.reason != UNKNOWN

    async def replay_unreadable(self, record: Record, error: MalformedError) -> bool:
        """The same for what an operator replays."""
        sender = sender_of(record, error)
        if sender is not None:
            await self._reject(sender, None, of_unreadable(record, error))
        return sender is not None

    async def _reject(self, sender: Command | Sender, kind: str | None, rejection: Rejection) -> bool:
        async with self._database.transaction() as connection:
            is_new = await inbox.keep_rejected(connection, sender.account_id, sender.command_id, kind, rejection)
        if is_new:
            COMMANDS_ENDED.labels(kind or UNREAD, rejection.code.value).inc()
            emit = log.warning if rejection.code is Code.KEY_EXPOSED else log.info  # its key is to be revoked
            emit("command.rejected", account_id=sender.account_id, type=kind, code=rejection.code.value)
        self._wake_results()
        return is_new

    async def _repeat(self, sender: Command | Sender) -> None:
        async with self._database.transaction() as connection:
            is_due = await inbox.repeat(connection, sender.account_id, sender.command_id)
        if is_due:
            log.info("command.sent_again", account_id=sender.account_id)
            self._wake_results()
