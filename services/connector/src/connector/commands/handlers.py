"""What each command does: the same as its route, by the same code. The table at the end names every command."""

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
from pydantic import SecretStr

from connector.connection_check import Credentials
from connector.integrations import ConnectRequest, Integrations, InTransaction

CommandHandler = Callable[[Any, InTransaction], Awaitable[None]]
"""A method of Commands, bound."""


class Commands:
    """`opener` opens the keys that programs sealed. Each method raises ProblemError where its command has no effect."""

    def __init__(self, integrations: Integrations, opener: OpensCommands) -> None:
        self._integrations = integrations
        self._opener = opener

    async def add(self, command: AddIntegration, in_transaction: InTransaction) -> None:
        credentials = Credentials(team_id=command.team_id, management_key=SecretStr(self._key(command)))
        request = ConnectRequest(command.account_id, credentials, command.plan, command.label)
        await self._integrations.add(request, in_transaction)

    async def replace_credential(self, command: ReplaceCredential, in_transaction: InTransaction) -> None:
        key = self._key(command)
        await self._integrations.replace_credential(command.account_id, command.integration_id, key, in_transaction)

    async def rename(self, command: RenameIntegration, in_transaction: InTransaction) -> None:
        await self._integrations.rename(command.account_id, command.integration_id, command.label, in_transaction)

    async def change_plan(self, command: ChangePlan, in_transaction: InTransaction) -> None:
        await self._integrations.change_plan(command.account_id, command.plan, in_transaction)

    async def remove(self, command: RemoveIntegration, in_transaction: InTransaction) -> None:
        await self._integrations.remove(command.account_id, command.integration_id, command.history, in_transaction)

    def _key(self, command: AddIntegration | ReplaceCredential) -> str:
        try:
            return self._opener.open(command.sealed_key, account_id=command.account_id, command_id=command.command_id)
        except UnsealableError:
            raise ProblemError(Code.UNSEALABLE) from None


def parse(kind: str, body: str) -> Command:
    """The command in `body`; raises KeyError, ValueError where another release stored what this one does not know."""
    return cast("Command", COMMANDS_TOPIC.types[kind].model_validate_json(body))


COMMAND_HANDLERS: Mapping[type[Message], Callable[[Commands, Any, InTransaction], Awaitable[None]]] = {
    AddIntegration: Commands.add,
    ReplaceCredential: Commands.replace_credential,
    RenameIntegration: Commands.rename,
    ChangePlan: Commands.change_plan,
    RemoveIntegration: Commands.remove,
}
