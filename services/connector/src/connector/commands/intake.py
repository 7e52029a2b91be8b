"""What happens to a command when it arrives: it is taken once, and waits its turn; what cannot be done is rejected at once."""

import json
from collections.abc import Callable
from datetime import datetime

import structlog
from common.database import Database
from common.metrics import COMMANDS_ENDED
from contract.cloudevents import Event, MalformedError, Record
from contract.fields import AccountId, RequestId
from contract.messages import AddIntegration, Command, Message, ReplaceCredential
from contract.problems import CAUSES, Code

from connector import store
from connector.commands import inbox
from connector.commands.inbox import Rejection
from connector.domain import looks_sealed, waits_too_long

log = structlog.get_logger()

TOO_LONG = "expires_at is more than 7 days ahead. Send the command again with a nearer one and a new ID."
HANDLER_FAILED = "handler_failed"
"""Reason of a dead letter that was understood, and could not be kept."""


class Addressed(Message):
    """As much of a command as an answer needs."""

    command_id: RequestId
    account_id: AccountId
    team_id: object = None


class Intake:
    """The first arrival of an ID counts, whatever comes under it later. `wake` tells who does commands, `tell` who answers."""

    def __init__(self, database: Database, wake: Callable[[], None], tell: Callable[[], None]) -> None:
        self._database = database
        self._wake = wake
        self._tell = tell

    async def take(self, event: Event[Command]) -> None:
        """Keep the command until its turn comes: xAI is asked later, so that nobody behind it waits."""
        command = event.message
        async with self._database.transaction() as connection:
            rejection = _refused(command, await store.now(connection))
            if rejection is None:
                await inbox.keep(connection, command)
        if rejection is not None:
            await self._reject(command, type(command).__name__, rejection)
        self._wake()

    async def refuse(self, record: Record, error: MalformedError) -> None:
        """Answer what is given up, where the answer's address can be read; nothing else of it is kept."""
        try:
            asked = Addressed.model_validate(json.loads(record.value or b""))  # more patient than the model's own
        except (ValueError, RecursionError):
            return
        await self._reject(asked, None, _not_understood(asked, error))

    async def _reject(self, asked: Command | Addressed, kind: str | None, rejection: Rejection) -> None:
        async with self._database.transaction() as connection:
            is_new = await inbox.keep_rejected(connection, asked.account_id, asked.command_id, kind, rejection)
        if is_new:
            COMMANDS_ENDED.labels(kind or "unread", rejection.code.value).inc()
            log.info("command.rejected", account_id=asked.account_id, type=kind, code=rejection.code.value)
        self._tell()


def _refused(command: Command, now: datetime) -> Rejection | None:
    """Why the command is not even kept; a key in the clear would be."""
    integration_id = getattr(command, "integration_id", None)
    if isinstance(command, AddIntegration | ReplaceCredential) and not looks_sealed(command.sealed_key):
        return Rejection(Code.UNSEALABLE, CAUSES[Code.UNSEALABLE].detail, integration_id)
    if waits_too_long(command.expires_at, now):
        return Rejection(Code.REQUEST_MALFORMED, TOO_LONG, integration_id)
    return None


def _not_understood(asked: Addressed, error: MalformedError) -> Rejection:
    if error.reason == HANDLER_FAILED:
        return Rejection(Code.INTERNAL, CAUSES[Code.INTERNAL].detail)
    if error.fields == ("team_id",) and isinstance(asked.team_id, str):
        return Rejection(Code.TEAM_MALFORMED, CAUSES[Code.TEAM_MALFORMED].detail)
    return Rejection(Code.REQUEST_MALFORMED, f"{error.detail}. Send the command again as documented, with a new ID.")
