"""The worker: does commands in the order of their first arrival, those of one account one after another."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from uuid import UUID, uuid4

import structlog
from common.database import Database
from common.errors import is_transient, name_of
from common.kafka.failure_policy import MAX_TRIES
from common.metrics import COMMANDS_ENDED
from common.wakeup import Wakeup
from common.watchdog import Watchdog
from contract.messages import Message
from contract.problems import Code, ProblemError
from sqlalchemy.ext.asyncio import AsyncConnection

from connector.commands import inbox
from connector.commands.handlers import Act, parse
from connector.commands.inbox import Claim, Rejection

log = structlog.get_logger()

LOOKS_EVERY = 1.0
"""Seconds between two looks for commands where nothing wakes the worker."""
ATTEMPT_DEADLINE = 40.0
"""Seconds; a call of xAI takes 20 at most. Below the lease, so that nobody else does the command meanwhile."""
AFTER_FAILURE = 2.0


class LostError(Exception):
    """Another process has taken the command over: what was done for it is undone."""


class Worker:
    """At most `in_flight` commands in hand. `tell` is called when one is done, and its result stands."""

    def __init__(
        self,
        database: Database,
        acts: Mapping[type[Message], Act],
        tell: Callable[[], None],
        watchdog: Watchdog,
        *,
        in_flight: int,
        instance_name: str = "",
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`instance_name` is the process's stable name; `pause` waits the given seconds, and tests hand in one that does not."""
        self._database = database
        self._acts = acts
        self._tell = tell
        self._watchdog = watchdog
        self._in_flight = in_flight
        self._owner = instance_name or str(uuid4())
        self._pause = pause
        self._wakeup = Wakeup()
        self._held: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """There may be something to do: look now."""
        self._wakeup.wake()

    async def run(self) -> None:
        """Work until cancelled; then leave what is in hand to others."""
        self._watchdog.register("commands")
        await self._let_go()
        try:
            while True:
                await self._round()
                self._watchdog.beat("commands")
        finally:
            for task in self._held:
                task.cancel()
            await asyncio.gather(*self._held, return_exceptions=True)
            await self._let_go()

    async def _let_go(self) -> None:
        try:
            async with self._database.transaction() as connection:
                await inbox.let_go_of(connection, self._owner)
        except Exception as error:  # noqa: BLE001 - the leases run out by themselves
            log.warning("commands.let_go_failed", error=name_of(error))

    async def _round(self) -> None:
        self._wakeup.clear()
        claim = await self._claim() if len(self._held) < self._in_flight else None
        if claim is None:
            await self._wakeup.wait(LOOKS_EVERY)
            return
        task = asyncio.create_task(self._attempt(claim))
        self._held.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._held.discard(task)
        self.wake()

    async def _claim(self) -> Claim | None:
        try:
            async with self._database.transaction() as connection:
                return await inbox.claim(connection, self._owner)
        except Exception as error:  # noqa: BLE001 - the next look may find the database again
            log.warning("commands.claim_failed", error=name_of(error))
            await self._pause(AFTER_FAILURE)
            return None

    async def _attempt(self, claim: Claim) -> None:
        """Do one command; what fails here is taken up again, at the latest when the lease runs out."""
        try:
            async with asyncio.timeout(ATTEMPT_DEADLINE):
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
            await self._again(claim, failed=not is_transient(error))

    async def _end(self, claim: Claim) -> None:
        """Do it or reject it; either stands together with its result, or not at all."""
        try:
            await self._do(claim)
            outcome = "done"
        except ProblemError as problem:
            await self._reject(claim, problem)
            outcome = problem.code.value
        COMMANDS_ENDED.labels(claim.type, outcome).inc()
        log.info("command.ended", account_id=claim.account_id, type=claim.type, outcome=outcome)
        self._tell()

    async def _do(self, claim: Claim) -> None:
        if claim.failures >= MAX_TRIES:
            raise ProblemError(Code.INTERNAL)
        command = parse(claim.type, claim.body)
        if command.expires_at <= claim.at:
            raise ProblemError(Code.EXPIRED)
        await self._acts[type(command)](command, partial(_note, claim))

    async def _reject(self, claim: Claim, problem: ProblemError) -> None:
        async with self._database.transaction() as connection:
            if not await inbox.finish_rejected(connection, claim, rejection_of(claim, problem)):
                raise LostError

    async def _again(self, claim: Claim, *, failed: bool) -> None:
        await self._pause(AFTER_FAILURE)
        try:
            async with self._database.transaction() as connection:
                await inbox.let_go(connection, claim, failed=failed)
        except Exception as error:  # noqa: BLE001 - the lease runs out by itself
            log.warning("commands.let_go_failed", error=name_of(error))


async def _note(claim: Claim, connection: AsyncConnection, integration_id: UUID | None) -> None:
    if not await inbox.finish(connection, claim, integration_id):
        raise LostError


def rejection_of(claim: Claim, problem: ProblemError) -> Rejection:
    """The problem as a result; it names the integration that the problem is about, or else the one that was asked for."""
    about = problem.extra.get("integration_id") or json.loads(claim.body).get("integration_id")
    return Rejection(problem.code, problem.detail, UUID(str(about)) if about else None)
