"""One attempt at a window: claim, check, pace, read, decide, publish, close. A crash between any two of them loses nothing."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from common.database import Database
from common.errors import is_transient, name_of
from common.kafka.publisher import Publisher
from common.metrics import REFUSALS, WINDOWS, declare
from common.tracing import span
from contract.fields import Trigger
from contract.problems import Code
from contract.tracing import tracing

from syncer import leases, teams, windows
from syncer.accepted_days import read_accepted
from syncer.decide import Result, decide, decide_plainly
from syncer.decisions import Decision, FailureDecision, parse_decision, publish
from syncer.domain import MOST_URGENT_FIRST, WINDOW_CODES, Days, is_fresh, may_call, readable
from syncer.group_commit import GroupCommit
from syncer.leases import Claim
from syncer.provider import READING_DEADLINE, Pacing, Provider, ReadError, Reading, ReadTransientError
from syncer.refusals import recheck
from syncer.store import Credential

log = structlog.get_logger()

OTHER = "other"
"""Label of triggers that this version does not know: anybody may send one."""
REFUSED = frozenset(code.value for code in WINDOW_CODES) - {Code.FRESH.value}
"""How a window ends that was not read; one that is fresh has all that a visit asks for."""
TURN_DEADLINE = 5.0
"""Seconds that a claimed window waits while as many as may be are read; then it is left to whichever process has a turn."""
LEFT_SECONDS = 0.5
"""Until it is due again: this process looks at once, and would take it back before another one has looked."""
ATTEMPT_DEADLINE = READING_DEADLINE + TURN_DEADLINE + 40.0
"""Seconds for one window from claim to close: an attempt that hangs is ended, so that its integration is not blocked."""


class Attempt:
    """Takes windows from claim to close, any number at the same time."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        provider: Provider,
        pacing: Pacing,
        *,
        in_flight: int,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`in_flight`: windows that are read at the same time, at most; `chance` in [0, 1) spreads retries."""
        declare(WINDOWS, MOST_URGENT_FIRST, ["read", *WINDOW_CODES])
        declare(REFUSALS, ["window"], REFUSED)
        self._database = database
        self._group = GroupCommit(database)
        self._publisher = publisher
        self._provider = provider
        self._pacing = pacing
        self._in_flight = asyncio.Semaphore(in_flight)
        self._call = teams.bucket(pacing.per_team)["interval"]  # what one takes of a team's rate
        self._chance = chance

    async def claim(self, owner: str, at_most: int) -> tuple[list[Claim], bool]:
        """The most urgent due windows, and whether others may be due as well.

        Of a team, whichever account connected it, one is read at a time by all processes.
        """
        calls = min(self._pacing.may_claim(), at_most)
        claims, are_more_due = await leases.claim(
            self._database, owner, self._pacing.per_team, calls or at_most, calls=calls > 0
        )
        for claim in claims:
            if claim.needs_call:
                self._pacing.note_claim()
        return claims, are_more_due

    async def run(self, claim: Claim) -> None:
        """Everything after the claim; what fails is attempted again when the lease has expired."""
        ids = {"integration_id": str(claim.integration_id), "window_id": str(claim.window_id)}
        try:
            async with asyncio.timeout(ATTEMPT_DEADLINE):
                with span("read window", claim.traceparent, attributes=_attributes(claim)):
                    decision = await self._run(claim)
        except Exception as error:  # the window is still there
            log.warning("window.interrupted", error=name_of(error), exc_info=not is_transient(error), **ids)
            return
        if decision is not None:
            log.info("window.published", trigger=claim.trigger.value, outcome=_outcome(decision), **ids)

    async def _run(self, claim: Claim) -> Decision | None:
        """Answers what was published; None where nothing was."""
        decision, reason = parse_decision(claim.decision) if claim.decision else None, None
        if decision is None:
            reason = check(claim)
            read = (reason, None) if reason else await self._read_in_turn(claim)
            if read is None:
                return None
            result, outage_since = read
            decision = await self._decide(claim, result)
            if outage_since:
                await self._end_outage(claim, outage_since)
        if decision is not None:
            await publish(decision, self._publisher)
            await self._close(claim, decision, unused=self._call if reason else windows.NOTHING)
        return decision

    async def _read_in_turn(self, claim: Claim) -> tuple[Reading | ReadError, datetime | None] | None:
        """What was read, and when the outage began that it ended; None where the window was postponed."""
        try:
            async with asyncio.timeout(TURN_DEADLINE):
                await self._in_flight.acquire()
        except TimeoutError:
            await self._postpone(claim, LEFT_SECONDS)
            return None
        try:
            if wait := self._pacing.wait():
                await self._postpone(claim, wait)
                return None
            result = await self._read(claim)
            error = result if isinstance(result, ReadError) else None
            return result, self._pacing.record(claim.team_id, error, claim.observed_at)  # before anything else is read
        finally:
            self._in_flight.release()

    async def _postpone(self, claim: Claim, seconds: float) -> None:
        await windows.postpone(self._group, claim, seconds, unused=self._call)

    async def _read(self, claim: Claim) -> Reading | ReadError:
        days, credential = readable(claim.days, claim.observed_at.date()), claim.credential
        assert days is not None and credential is not None  # noqa: S101, PT018 - the claim and check() saw to it
        try:
            return await self._read_days(claim, credential, days)
        except ReadError as error:
            return _failed(claim, error)
        except Exception as error:  # noqa: BLE001 - see _fault()
            return _fault(claim, error)

    async def _read_days(self, claim: Claim, credential: Credential, days: Days) -> Reading:
        try:
            return await self._provider.read(claim.team_id, credential, days)
        except ReadError as error:
            if error.code is not Code.REQUEST_REFUSED:
                raise
        return await self._read_accepted(claim, credential, days)

    async def _read_accepted(self, claim: Claim, credential: Credential, refused: Days) -> Reading:
        """Every further call is taken from the team's limit; where that takes too long, the window is tried again.

        Where nothing is accepted, that may pass; but for a team that was never read Team ID or key is wrong.
        """

        async def ask(days: Days) -> Reading:
            while wait := self._pacing.wait() or await self._wait_for_team(claim):
                await asyncio.sleep(wait)
            return await self._provider.read(claim.team_id, credential, days)

        try:
            async with asyncio.timeout(READING_DEADLINE):
                return await read_accepted(ask, refused, claim.observed_at.date())
        except ReadError as error:
            if claim.read_at is None and error.code is Code.REQUEST_REFUSED:
                raise ReadError(error.code, cause=error.cause) from None
            raise
        except TimeoutError:
            raise ReadTransientError(Code.REQUEST_REFUSED) from None

    async def _wait_for_team(self, claim: Claim) -> float:
        async with self._database.direct() as driver:
            may_call = await teams.take_call(driver, claim.team_id, claim.lease, self._pacing.per_team)
        return 0.0 if may_call else teams.POLL_EVERY

    async def _decide(self, claim: Claim, result: Result) -> Decision | None:
        try:
            return await self._store(claim, result)
        except Exception as error:  # noqa: BLE001 - see _fault()
            return await self._store(claim, _fault(claim, error))

    async def _store(self, claim: Claim, result: Result) -> Decision | None:
        if isinstance(result, Reading):
            decision = await decide_plainly(self._group, claim, result)
            if decision is not None:
                return decision
        async with self._database.transaction() as connection:
            return await decide(connection, claim, result, self._chance())

    async def _end_outage(self, claim: Claim, since: datetime) -> None:
        """Make due what waited for it, and read again for whoever was refused meanwhile."""
        async with self._database.transaction() as connection:
            await windows.make_all_due(connection)
            with tracing(None):  # others' windows
                await recheck(connection, since, claim.observed_at)

    async def _close(self, claim: Claim, decision: Decision, *, unused: timedelta) -> None:
        closed = not isinstance(decision, FailureDecision) or decision.outcome.final
        await windows.close(self._group, claim, closed=closed, unused=unused)
        if closed:
            outcome = _outcome(decision)
            WINDOWS.labels(_known(claim.trigger), outcome).inc()
            if outcome in REFUSED:
                REFUSALS.labels("window", outcome).inc()


def _known(trigger: Trigger) -> str:
    return trigger.value if trigger in MOST_URGENT_FIRST else OTHER


def _attributes(claim: Claim) -> dict[str, str]:
    """Of a span, in which there is no text of anybody else."""
    return {
        "grafient.integration_id": str(claim.integration_id),
        "grafient.window_id": str(claim.window_id),
        "grafient.trigger": _known(claim.trigger),
    }


def check(claim: Claim) -> Code | None:
    """Why the provider need not be called; None where it must be."""
    now = claim.observed_at
    if claim.removed:
        return Code.NOT_FOUND
    if claim.refusal is not None and not may_call(claim.trigger, claim.refusal, now):
        return claim.refusal.code
    if readable(claim.days, now.date()) is None:
        return Code.OUT_OF_RANGE
    return Code.FRESH if claim.visits_only and is_fresh(claim.read_at, now) else None


def _failed(claim: Claim, error: ReadError) -> ReadError:
    ids = {"integration_id": str(claim.integration_id), "window_id": str(claim.window_id)}
    log.info("xai.call_failed", code=error.code.value, cause=error.cause, **ids)
    return error


def _fault(claim: Claim, error: Exception) -> ReadTransientError:
    """A fault of ours is retried as an outage is, with growing pauses; raises what is transient."""
    if is_transient(error):
        raise error
    log.error("window.failed", window_id=str(claim.window_id), exc_info=error)
    return ReadTransientError(Code.INTERNAL)


def _outcome(decision: Decision) -> str:
    return decision.outcome.code.value if isinstance(decision, FailureDecision) else "read"
