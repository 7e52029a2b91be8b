"""The arrival of a command: it is stored once, and waits its turn; what cannot be done is rejected at once."""

import json
from collections.abc import Callable
from datetime import datetime

import structlog
from common.database import Database
from common.kafka.failure_policy import UNKNOWN
from common.metrics import COMMANDS_ENDED
from contract.cloudevents import Event, MalformedError, Record, body_of
from contract.fields import AccountId, RequestId
from contract.messages import AddIntegration, Command, Message, ReplaceCredential
from contract.problems import Code, cause_of

from connector import store
from connector.commands import inbox
from connector.commands.inbox import Rejection
from connector.domain import COMMAND_VALID_FOR, looks_sealed, waits_too_long

log = structlog.get_logger()

TOO_LONG = (
    f"expires_at is more than {COMMAND_VALID_FOR.days} days ahead. "
    "Send the command again with a nearer one and a new ID."
)


class Addressed(Message):
    """As much of a command as a result needs."""

    command_id: RequestId
    account_id: AccountId
    team_id: object = None


class Intake:
    """The first arrival of an ID counts, whatever a later one contains."""

    def __init__(self, database: Database, wake_worker: Callable[[], None], wake_results: Callable[[], None]) -> None:
        self._database = database
        self._wake_worker = wake_worker
        self._wake_results = wake_results

    async def take(self, event: Event[Command]) -> None:
        command = event.message
        async with self._database.transaction() as connection:
            rejection = rejection_reason(command, await store.now(connection))
            if rejection is None:
                await inbox.keep(connection, command)
        if rejection is not None:
            await self._reject(command, type(command).__name__, rejection)
        self._wake_worker()

    async def reject_dead_letter(self, record: Record, error: MalformedError) -> bool:
        """Answer what becomes a dead letter, where its sender can be read; nothing else of it is stored.

        Returns whether it was: somebody has to look only at a dead letter whose sender waits for nothing.
        """
        try:
            addressed = Addressed.model_validate(json.loads(body_of(record)))  # laxer than the model's own parser
        except (MalformedError, ValueError, RecursionError):
            return False
        await self._reject(addressed, None, _unreadable(addressed, error))
        return True

    async def _reject(self, command: Command | Addressed, kind: str | None, rejection: Rejection) -> None:
        async with self._database.transaction() as connection:
            is_new = await inbox.keep_rejected(connection, command.account_id, command.command_id, kind, rejection)
        if is_new:
            COMMANDS_ENDED.labels(kind or "unread", rejection.code.value).inc()
            log.info("command.rejected", account_id=command.account_id, type=kind, code=rejection.code.value)
        self._wake_results()


def rejection_reason(command: Command, now: datetime) -> Rejection | None:
    """Why the command is not even stored: its key may be in the clear, or it is valid for too long."""
    integration_id = getattr(command, "integration_id", None)
    if isinstance(command, AddIntegration | ReplaceCredential) and not looks_sealed(command.sealed_key):
        return Rejection(Code.UNSEALABLE, cause_of(Code.UNSEALABLE).detail, integration_id)
    if waits_too_long(command.expires_at, now):
        return Rejection(Code.REQUEST_MALFORMED, TOO_LONG, integration_id)
    return None


def _unreadable(addressed: Addressed, error: MalformedError) -> Rejection:
    if error.reason == UNKNOWN:
        return Rejection(Code.INTERNAL, cause_of(Code.INTERNAL).detail)
    if error.fields == ("team_id",) and isinstance(addressed.team_id, str):
        return Rejection(Code.TEAM_MALFORMED, cause_of(Code.TEAM_MALFORMED).detail)
    return Rejection(Code.REQUEST_MALFORMED, f"{error.detail}. Send the command again as documented, with a new ID.")
