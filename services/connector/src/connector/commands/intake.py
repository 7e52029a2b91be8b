"""The arrival of a command: it is stored once, and waits its turn; what cannot be done is rejected at once."""

from collections.abc import Awaitable, Callable

import structlog
from common.database import Database, Pipeline
from common.kafka.failure_policy import UNKNOWN
from common.metrics import COMMANDS_ENDED, REFUSALS
from contract.cloudevents import Event, MalformedError, Record
from contract.messages import Command
from contract.problems import Code

from connector import store
from connector.commands import inbox
from connector.commands.inbox import UNREAD, Rejection
from connector.commands.rejections import Sender, of_unreadable, on_arrival, sender_of

log = structlog.get_logger()

Repeat = Callable[[Pipeline, str, str], Awaitable[bool]]
"""Whether the result of the account's command of this ID, which was sent again, is due once more."""


class Intake:
    """The first arrival of an ID counts, whatever a later one contains."""

    def __init__(self, database: Database, wake_worker: Callable[[], None], wake_results: Callable[[], None]) -> None:
        self._database = database
        self._wake_worker = wake_worker
        self._wake_results = wake_results

    async def take(self, event: Event[Command]) -> None:
        """Store a new command. One that is sent again gets the result of the first: its sender may wait for it."""
        await self._take(event.message, inbox.repeat)

    async def replay(self, event: Event[Command]) -> None:
        """Store a new command, and publish no result again: nobody waits for what an operator replays."""
        await self._take(event.message, _never)

    async def reject_unreadable(self, record: Record, error: MalformedError) -> bool:
        """Answer what becomes a dead letter, where its sender can be read; nothing else of it is stored.

        Returns whether that is all that has to be done: a fault of ours has to be repaired as well.
        """
        return await self._reject(record, error, inbox.repeat)

    async def replay_unreadable(self, record: Record, error: MalformedError) -> bool:
        """The same for what an operator replays."""
        return await self._reject(record, error, _never)

    async def _take(self, command: Command, repeat: Repeat) -> None:
        sender = Sender(command.account_id, command.command_id)
        kind = type(command).__name__
        async with self._database.pipeline() as pipeline:
            rejection = on_arrival(command, await store.now(pipeline))
            if rejection is None:
                is_new = await inbox.keep(pipeline, command)
            else:
                is_new = await inbox.keep_rejected(pipeline, *sender, kind, rejection)
            is_due = not is_new and await repeat(pipeline, *sender)
        self._report(sender, kind, rejection if is_new else None, is_due=is_due)

    async def _reject(self, record: Record, error: MalformedError, repeat: Repeat) -> bool:
        sender = sender_of(record, error)
        if sender is None:
            return False
        rejection = of_unreadable(record, error)
        async with self._database.pipeline() as pipeline:
            is_new = await inbox.keep_rejected(pipeline, *sender, None, rejection)
            is_due = not is_new and await repeat(pipeline, *sender)
        self._report(sender, None, rejection if is_new else None, is_due=is_due)
        return error.reason != UNKNOWN

    def _report(self, sender: Sender, kind: str | None, rejection: Rejection | None, *, is_due: bool) -> None:
        """After the commit: count and log what is new, and wake who continues."""
        if rejection is not None:
            COMMANDS_ENDED.labels(kind or UNREAD, rejection.code.value).inc()
            REFUSALS.labels("command", rejection.code.value).inc()
            if rejection.code is Code.KEY_EXPOSED:  # it is to be revoked
                log.warning("command.rejected", account_id=sender.account_id, type=kind, code=rejection.code.value)
            else:
                log.info("command.rejected", account_id=sender.account_id, type=kind, code=rejection.code.value)
        if is_due:
            log.info("command.sent_again", account_id=sender.account_id)
        self._wake_worker()
        self._wake_results()


async def _never(_pipeline: Pipeline, _account_id: str, _command_id: str) -> bool:
    return False
