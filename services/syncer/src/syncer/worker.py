"""The worker: claims due windows, asks xAI, stores the decision, publishes it. A crash between any two of these is made good."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

import structlog
from common.database import Database
from common.errors import is_transient, name_of
from common.kafka.publisher import Publisher
from common.metrics import WINDOWS
from common.wakeup import Wakeup
from common.watchdog import Watchdog
from contract.problems import Code
from sqlalchemy.ext.asyncio import AsyncConnection
from xai_usage import CallFailed, CallTransient

from syncer import outcomes, windows
from syncer.decisions import Decision, FailureDecision, parse_decision, publish
from syncer.domain import is_fresh, may_call, readable
from syncer.refusals import recheck
from syncer.windows import Claim
from syncer.xai.calls import READING_DEADLINE, Xai
from syncer.xai.pacing import Pace

log = structlog.get_logger()

T = TypeVar("T")
LOOKS_EVERY = 1.0
"""Seconds between two looks for due windows where nothing wakes the worker."""
RENEWS_EVERY = 5.0
AFTER_FAILURE = 2.0
ATTEMPT_DEADLINE = READING_DEADLINE + 40.0
"""Seconds for one window from claim to close: what hangs is let go, and its integration is not held for ever."""


class Worker:
    """At most `in_flight` windows in hand; one of a team at a time, whoever asks."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        xai: Xai,
        watchdog: Watchdog,
        pace: Pace,
        *,
        in_flight: int,
        instance_name: str = "",
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`instance_name` is the process's stable name, `chance` in [0, 1) spreads retries."""
        self._database = database
        self._publisher = publisher
        self._xai = xai
        self._watchdog = watchdog
        self._pace = pace
        self._in_flight = in_flight
        self._owner = instance_name
        self._chance = chance
        self._wakeup = Wakeup()
        self._held: dict[asyncio.Task[None], Claim] = {}

    def wake(self) -> None:
        """Something may be due: look now."""
        self._wakeup.wake()

    async def run(self) -> None:
        """Work until cancelled; then leave what is in hand to others."""
        self._watchdog.register("worker")
        if self._owner:
            async with self._database.transaction() as connection:
                await windows.let_go_of(connection, self._owner)
        renewing = asyncio.create_task(self._renew())
        try:
            while True:
                await self._round()
                self._watchdog.beat("worker")
        finally:
            await self._let_go(renewing)

    async def _round(self) -> None:
        self._wakeup.clear()
        claim = await self._claim() if len(self._held) < self._in_flight else None
        if claim is None:
            await self._wakeup.wait(LOOKS_EVERY)
            return
        task = asyncio.create_task(self._attempt(claim))
        self._held[task] = claim
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._held.pop(task)
        self.wake()

    async def _claim(self) -> Claim | None:
        try:
            async with self._database.transaction() as connection:
                busy = {
                    claim.team_id for claim in self._held.values()
                }  # a slow team, whoever connected it, has one place
                return await windows.claim(connection, self._owner, calls=self._pace.may_claim(), busy=busy)
        except Exception as error:  # noqa: BLE001 - the next look may find the database again
            log.warning("worker.claim_failed", error=name_of(error))
            await asyncio.sleep(AFTER_FAILURE)
            return None

    async def _attempt(self, claim: Claim) -> None:
        """Take one window from claim to close; what fails here is taken up again when the lease runs out."""
        about = {"integration_id": str(claim.integration_id), "window_id": str(claim.window_id)}
        try:
            async with asyncio.timeout(ATTEMPT_DEADLINE):
                decision = parse_decision(claim.decision) if claim.decision else await self._decide(claim)
                if decision is not None:
                    await self._end(claim, decision)
        except Exception as error:  # nothing is lost: the window is still there
            log.warning("window.interrupted", error=name_of(error), exc_info=not is_transient(error), **about)
        else:
            if decision is not None:
                log.info("window.published", trigger=claim.trigger.value, outcome=_outcome(decision), **about)

    async def _end(self, claim: Claim, decision: Decision) -> None:
        await publish(decision, self._publisher)
        async with self._database.transaction() as connection:
            await windows.release(connection, claim, closed=_closes(decision))
        if _closes(decision):
            WINDOWS.labels(claim.trigger.value, _outcome(decision)).inc()

    async def _decide(self, claim: Claim) -> Decision | None:
        code = _reason_not_to_call(claim)
        if code is not None:
            return await self._in_transaction(lambda connection: outcomes.without_call(connection, claim, code))
        try:
            return await self._call(claim)
        except Exception as error:
            if is_transient(error):
                raise
            log.exception("window.failed", window_id=str(claim.window_id))
            fault = CallTransient(Code.INTERNAL)
            return await self._in_transaction(lambda connection: self._failed(connection, claim, fault))

    async def _call(self, claim: Claim) -> Decision | None:
        days, credential = readable(claim.days, claim.observed_at.date()), claim.credential
        assert days is not None and credential is not None  # noqa: S101, PT018 - the claim and _reason_not_to_call saw to it
        if wait := self._pace.wait(claim.team_id):
            await self._in_transaction(lambda connection: windows.postpone(connection, claim, wait))
            return None
        try:
            answer = await self._xai.read(claim.team_id, credential, days)
        except CallFailed as failed:
            log.info("xai.call_failed", code=failed.code.value, integration_id=str(claim.integration_id))
            failure = failed
            decision = await self._in_transaction(lambda connection: self._failed(connection, claim, failure))
            await self._ended(claim, failure)
            return decision
        decision = await self._in_transaction(
            lambda connection: outcomes.reading(connection, claim, credential, answer)
        )
        await self._ended(claim, None)
        return decision

    async def _failed(self, connection: AsyncConnection, claim: Claim, failure: CallFailed) -> Decision | None:
        assert claim.credential is not None  # noqa: S101 - without one xAI was not asked
        return await outcomes.failure(connection, claim, claim.credential, failure, self._chance)

    async def _ended(self, claim: Claim, failure: CallFailed | None) -> None:
        """Where an outage is over, what waited for it is due, and who was refused meanwhile is asked about again."""
        since = self._pace.ended(claim.team_id, failure, claim.observed_at)
        if since is None:
            return

        async def resume(connection: AsyncConnection) -> None:
            await windows.hurry_all(connection)
            await recheck(connection, since, claim.observed_at)

        await self._in_transaction(resume)

    async def _in_transaction(self, act: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with self._database.transaction() as connection:
            return await act(connection)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEWS_EVERY)
            leases = [claim.lease for claim in self._held.values()]
            try:
                async with self._database.transaction() as connection:
                    await windows.renew(connection, leases)
            except Exception as error:  # noqa: BLE001 - a lease that runs out only costs a second call
                log.warning("worker.renew_failed", error=name_of(error))

    async def _let_go(self, renewing: asyncio.Task[None]) -> None:
        held = dict(self._held)
        for task in (renewing, *held):
            task.cancel()
        await asyncio.gather(renewing, *held, return_exceptions=True)
        try:
            async with self._database.transaction() as connection:
                await windows.let_go(connection, [claim.lease for claim in held.values()])
        except Exception as error:  # noqa: BLE001 - the leases run out by themselves
            log.warning("worker.let_go_failed", error=name_of(error))


def _reason_not_to_call(claim: Claim) -> Code | None:
    now: datetime = claim.observed_at
    if claim.removed:
        return Code.NOT_FOUND
    if claim.refusal is not None and not may_call(claim.trigger, claim.refusal, now):
        return claim.refusal.code
    if readable(claim.days, now.date()) is None:
        return Code.OUT_OF_RANGE
    return Code.FRESH if claim.visits_only and is_fresh(claim.read_at, now) else None


def _closes(decision: Decision) -> bool:
    return not isinstance(decision, FailureDecision) or decision.outcome.final


def _outcome(decision: Decision) -> str:
    return decision.outcome.code.value if isinstance(decision, FailureDecision) else "read"
