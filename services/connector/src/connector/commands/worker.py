"""Does commands in the order of first arrival, those of one account one after another."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from uuid import UUID, uuid4

import structlog
from common.database import Database, Pipeline
from common.errors import is_transient, name_of
from common.kafka.failure_policy import MAX_TRIES
from common.metrics import COMMANDS_ENDED, REFUSALS, declare
from common.tracing import span
from contract.messages import Message
from contract.problems import Code, ProblemError
from contract.rules import XAI_CODES

from connector.commands import inbox
from connector.commands.handlers import CommandHandler, parse
from connector.commands.inbox import UNREAD, Claim, Rejection
from connector.commands.rejections import detail_of

log = structlog.get_logger()

ATTEMPT_DEADLINE = 40.0
"""Seconds; a call of xAI takes 20 at most. Below the lease, so that no other process does the command meanwhile."""
REJECTION_CODES = (
    *XAI_CODES,
    Code.ALREADY_CONNECTED,
    Code.NOT_FOUND,
    Code.EXPIRED,
    Code.UNSEALABLE,
    Code.KEY_EXPOSED,
    Code.REQUEST_MALFORMED,
    Code.INTERNAL,
)
"""Why a command can be rejected."""
AFTER_FAILURE = 2.0
"""Seconds until a command that failed is free again."""


class LostError(Exception):
    """Another process has leased the command: this attempt is rolled back."""


class CommandQueue:
    """The inbox, as a LeasedWorker works on it. `wake_results` is called when a command is done."""

    def __init__(
        self,
        database: Database,
        handlers: Mapping[type[Message], CommandHandler],
        wake_results: Callable[[], None],
        *,
        owner: str = "",
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`owner`: the process's stable name; `pause` waits the given seconds."""
        declare(COMMANDS_ENDED, [*(one.__name__ for one in handlers), UNREAD], ["done", *REJECTION_CODES])
        declare(REFUSALS, ["command"], REJECTION_CODES)
        self._database = database
        self._handlers = handlers
        self._wake_results = wake_results
        self._owner = owner or str(uuid4())
        self._pause = pause

    async def claim(self, at_most: int) -> tuple[list[Claim], bool]:  # noqa: ARG002 - a claim looks which account has one already
        async with self._database.direct() as driver:
            claim = await inbox.claim(driver, self._owner)
        return ([claim], True) if claim else ([], False)

    async def attempt(self, claim: Claim) -> bool:
        """Do one command; one that fails is released, at the latest when its lease expires. The account's next one waits."""
        try:
            async with asyncio.timeout(ATTEMPT_DEADLINE):
                with span("process command", claim.traceparent, attributes={"grafient.command": claim.type}):
                    await self._end(claim)
        except LostError:
            log.warning("command.lost", account_id=claim.account_id, type=claim.type)
        except Exception as error:
            log.warning(
                "command.interrupted",
                account_id=claim.account_id,
                type=claim.type,
                error=name_of(error),
                exc_info=not is_transient(error),
            )
            await self._pause(AFTER_FAILURE)
            async with self._database.direct() as driver:
                await inbox.release(driver, claim, failed=not is_transient(error))
        return True

    async def renew(self, _held: Collection[Claim]) -> None:
        """A lease outlasts every attempt."""

    async def release(self, _held: Collection[Claim]) -> None:
        await self.release_owner()

    async def release_owner(self) -> None:
        async with self._database.direct() as driver:
            await inbox.release_owner(driver, self._owner)

    async def _end(self, claim: Claim) -> None:
        """Do it or reject it; the result commits together with the effect, or neither does."""
        try:
            await self._do(claim)
            outcome = "done"
        except ProblemError as problem:
            await self._reject(claim, problem)
            outcome = problem.code.value
            REFUSALS.labels("command", outcome).inc()
        COMMANDS_ENDED.labels(claim.type, outcome).inc()
        log.info("command.ended", account_id=claim.account_id, type=claim.type, outcome=outcome)
        self._wake_results()

    async def _do(self, claim: Claim) -> None:
        if claim.failures >= MAX_TRIES:
            raise ProblemError(Code.INTERNAL)
        command = parse(claim.type, claim.body)
        if command.expires_at <= claim.at:
            raise ProblemError(Code.EXPIRED)
        await self._handlers[type(command)](command, partial(_finish, claim))

    async def _reject(self, claim: Claim, problem: ProblemError) -> None:
        async with self._database.pipeline() as pipeline:
            if not await inbox.finish_rejected(pipeline, claim, rejection_of(claim, problem)):
                raise LostError


async def _finish(claim: Claim, pipeline: Pipeline, integration_id: UUID | None) -> None:
    if not await inbox.finish(pipeline, claim, integration_id):
        raise LostError


def rejection_of(claim: Claim, problem: ProblemError) -> Rejection:
    """The problem as a result; it names the integration that the problem is about, or else that of the command."""
    about = problem.extra.get("integration_id") or json.loads(claim.body).get("integration_id")
    return Rejection(problem.code, detail_of(problem), UUID(str(about)) if about else None)
