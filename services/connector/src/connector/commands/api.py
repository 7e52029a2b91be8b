"""The route that returns how a command ended, for who missed its result on the topic."""

from operator import attrgetter
from typing import Literal
from uuid import UUID

from common.database import Database
from common.http.openapi import answers
from common.http.tokens import needs
from contract.fields import AccountId, RequestId
from contract.problems import Code, ProblemError
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict

from connector.commands import inbox
from connector.commands.inbox import CommandStatus

NONE_CAME = (
    "No command with this ID has arrived from this account in the last 30 days. "
    "It may still be on its way: if it does not arrive, publish it again, with the same ID."
)


class CommandState(BaseModel):
    """What became known of a command, the same as in its result."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    state: Literal["waiting", "succeeded", "rejected"]
    integration_id: UUID | None
    code: Code | None
    """Why it was rejected; null otherwise."""
    detail: str | None
    """The same for people, with the next step."""


class CommandRoutes:
    """Reads the inbox: a command is known from its arrival on, and for 30 days."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def router(self) -> APIRouter:
        """The routes, in one table; a method's name is its operation ID."""
        router = APIRouter(
            prefix="/v1/accounts/{account_id}",
            responses=answers(),
            generate_unique_id_function=attrgetter("name"),
        )
        read = [Depends(needs("integrations:read"))]
        router.get("/commands/{command_id:path}", dependencies=read)(self.get_command)  # an ID may contain a slash
        return router

    async def get_command(self, account_id: AccountId, command_id: RequestId) -> CommandState:
        """How a command by topic ended; `waiting` until then. Its result on the topic has the same content."""
        async with self._database.direct() as driver:
            status = await inbox.find(driver, account_id, command_id)
        if status is None:
            raise ProblemError(Code.NOT_FOUND, NONE_CAME)
        return CommandState(
            state=_state_of(status), integration_id=status.integration_id, code=status.code, detail=status.detail
        )


def _state_of(status: CommandStatus) -> Literal["waiting", "succeeded", "rejected"]:
    if not status.is_done:
        return "waiting"
    return "rejected" if status.code else "succeeded"
