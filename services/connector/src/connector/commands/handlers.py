"""What each command does: the same as its route, through the same code. The table at the end names every command."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from common.crypto.envelopes import OpensCommands, UnsealableError
from contract.messages import (
    AddIntegration,
    ChangePlan,
    Command,
    Message,
    RemoveIntegration,
    RenameIntegration,
    ReplaceCredential,
)
from contract.problems import Code, ProblemError
from contract.topics import COMMANDS_TOPIC

from connector.connection_check import Typed
from connector.integrations import Life, Note, Wish

Act = Callable[[Any, Note], Awaitable[None]]
"""Raises ProblemError where the command has no effect; the note is kept together with the effect."""


class Commands:
    """The wishes of programs that do not call the API; `opener` opens the keys that they sealed."""

    def __init__(self, life: Life, opener: OpensCommands) -> None:
        self._life = life
        self._opener = opener

    async def add(self, command: AddIntegration, note: Note) -> None:
        typed = Typed(command.team_id, self._key(command))
        await self._life.add(Wish(command.account_id, typed, command.plan, command.label), note)

    async def replace(self, command: ReplaceCredential, note: Note) -> None:
        await self._life.replace(command.account_id, command.integration_id, self._key(command), note)

    async def rename(self, command: RenameIntegration, note: Note) -> None:
        await self._life.rename(command.account_id, command.integration_id, command.label, note)

    async def change_plan(self, command: ChangePlan, note: Note) -> None:
        await self._life.change_plan(command.account_id, command.plan, note)

    async def remove(self, command: RemoveIntegration, note: Note) -> None:
        await self._life.remove(command.account_id, command.integration_id, command.history, note)

    def _key(self, command: AddIntegration | ReplaceCredential) -> str:
        try:
            key = self._opener.open(command.sealed_key, account_id=command.account_id, command_id=command.command_id)
        except UnsealableError:
            raise ProblemError(Code.UNSEALABLE) from None
        return key.strip()


def table(commands: Commands) -> Mapping[type[Message], Act]:
    """Every command, and what does it."""
    return {
        AddIntegration: commands.add,
        ReplaceCredential: commands.replace,
        RenameIntegration: commands.rename,
        ChangePlan: commands.change_plan,
        RemoveIntegration: commands.remove,
    }


def parse(kind: str, body: str) -> Command:
    """The command in `body`; raises KeyError, ValueError where another release kept what this one does not know."""
    return cast("Command", COMMANDS_TOPIC.types[kind].model_validate_json(body))
