"""The stage that decides: the result of an attempt is stored in one transaction, under its claim."""

from collections.abc import Collection
from datetime import date, datetime, timedelta
from uuid import uuid4

from common.database import Pipeline, pipelined
from contract.fields import Trigger
from contract.messages import AnswerHash, WindowRead
from contract.problems import Code
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer import leases, questions, readings, windows
from syncer.decisions import Decision, FailureDecision, Scope, decide_failure, decide_reading
from syncer.domain import default_days, is_abandoned, pause_after
from syncer.group_commit import GroupCommit
from syncer.guard import amounts_of, judge
from syncer.leases import Claim, LockedWindow
from syncer.provider import ReadError, Reading, ReadRefusedError, ReadTransientError
from syncer.refusals import asked_again_at, mark_refused, note_beyond
from syncer.requests import Request, take
from syncer.store import clear_refusal, now

Result = Reading | ReadError | Code
"""Of the read stage: the costs, why they could not be read, or why no call is made."""


async def decide_plainly(group: GroupCommit, claim: Claim, reading: Reading) -> Decision | None:
    """Store the decision about a reading that has nothing special by one statement; None, and nothing stored, otherwise."""
    answers = {day: amounts_of(costs) for day, costs in reading.days.items()}
    if not answers or claim.has_questions or judge(answers, claim.known, {}, claim.observed_at):
        return None
    window = _window_read(claim, claim.trigger, claim.request_ids, reading, ())
    decision = decide_reading(reading, window)
    return decision if decision.days and await readings.save(group, claim, reading, decision) else None


async def decide(connection: AsyncConnection, claim: Claim, result: Result, chance: float) -> Decision | None:
    """Store the decision; None where there is nothing to publish: the claim was lost, or the same failure was published.

    `chance` in [0, 1) spreads retries.
    """
    locked = await leases.lock(connection, claim)
    if locked is None:
        return None
    if isinstance(result, Code) or locked.removed:
        code = result if isinstance(result, Code) else Code.NOT_FOUND
        return await _fail(connection, claim, locked, code, called=False)
    if isinstance(result, Reading):
        return await _read(connection, claim, locked, result)
    if isinstance(result, ReadTransientError):
        return await _retry(connection, claim, locked, result, chance)
    if isinstance(result, ReadRefusedError):
        return await _refuse(connection, claim, locked, result)
    if result.code is Code.OUT_OF_RANGE:
        await note_beyond(connection, claim.integration_id, claim.days.last)
    return await _fail(connection, claim, locked, result.code)


async def _read(connection: AsyncConnection, claim: Claim, locked: LockedWindow, reading: Reading) -> Decision | None:
    questioned = await questions.question(connection, claim.integration_id, reading.days, claim.observed_at)
    window = _window_read(claim, locked.trigger, locked.request_ids, reading, questioned)
    read = decide_reading(reading, window)
    decision: Decision = read
    if not read.days:
        decision = _failure(claim, locked, Code.ANSWER_QUESTIONED if questioned else Code.ANSWER_CUT)
    if not await readings.save_locked(connection, claim, reading, read, decision):
        return None
    if locked.refused or locked.refused_once:
        async with pipelined(connection) as pipeline:
            await clear_refusal(pipeline, claim.integration_id)
            if locked.refused:
                await _read_up_to_today(pipeline, claim)
    return decision


async def _retry(
    connection: AsyncConnection, claim: Claim, locked: LockedWindow, error: ReadTransientError, chance: float
) -> Decision | None:
    at = await now(connection)
    since = claim.failed_since or at
    if is_abandoned(since, at):
        return await _fail(connection, claim, locked, error.code)
    due_at = at + pause_after(claim.attempts + 1, error.retry_after, chance)
    retry_after = at + timedelta(seconds=error.retry_after) if error.retry_after else None
    await windows.record_failure(connection, claim, error, failed_since=since, due_at=due_at, retry_after=retry_after)
    if error.code is claim.code:
        await windows.finish(connection, claim)
        return None
    return await _fail(connection, claim, locked, error.code, next_attempt_at=due_at)


async def _refuse(
    connection: AsyncConnection, claim: Claim, locked: LockedWindow, error: ReadRefusedError
) -> Decision | None:
    """A refusal of an older key shows nothing about the one that replaced it meanwhile, and a first one may be a hiccup."""
    if (_key_version(claim) or 0) < locked.credential_version:
        await windows.finish(connection, claim, due_now=True)
        return None
    id_, at = claim.integration_id, claim.observed_at
    if claim.read_at and not locked.refused and (due_at := await asked_again_at(connection, id_, at)):
        await windows.record_failure(connection, claim, error, failed_since=claim.failed_since or at, due_at=due_at)
        await windows.finish(connection, claim)
        return None
    await mark_refused(connection, id_, error.code, at)
    return await _fail(connection, claim, locked, error.code)


async def _fail(
    connection: AsyncConnection,
    claim: Claim,
    locked: LockedWindow,
    code: Code,
    *,
    called: bool = True,
    next_attempt_at: datetime | None = None,
) -> Decision:
    decision = _failure(claim, locked, code, called=called, next_attempt_at=next_attempt_at)
    async with pipelined(connection) as pipeline:
        await windows.store_decision(pipeline, claim.window_id, decision)
    return decision


def _failure(
    claim: Claim,
    locked: LockedWindow,
    code: Code,
    *,
    called: bool = True,
    next_attempt_at: datetime | None = None,
) -> FailureDecision:
    """Final unless there is a next attempt; `called`: whether the provider was."""
    attempts = claim.attempts + called
    return decide_failure(
        Scope(claim.integration_id, claim.account_id, locked.trigger, locked.request_ids, claim.days),
        code,
        event_id=f"{claim.window_id}:{attempts if next_attempt_at else 'final'}",
        at=claim.observed_at,
        attempts=attempts,
        credential_version=_key_version(claim) if called else None,
        next_attempt_at=next_attempt_at,
    )


async def _read_up_to_today(pipeline: Pipeline, claim: Claim) -> None:
    """The provider accepts the key again."""
    at = claim.observed_at
    request = Request(f"recovered:{claim.window_id}", Trigger.DAILY, default_days(at.date()))
    await take(pipeline, request, claim.integration_id, at)


def _window_read(
    claim: Claim, trigger: Trigger, request_ids: tuple[str, ...], reading: Reading, questioned: Collection[date]
) -> WindowRead:
    return WindowRead(
        account_id=claim.account_id,
        integration_id=claim.integration_id,
        reading_id=uuid4(),
        first_day=reading.first_day,
        last_day=reading.last_day,
        observed_at=claim.observed_at,
        totals={},
        trigger=trigger,
        request_ids=request_ids,
        credential_version=_key_version(claim),
        questioned_days=tuple(sorted(questioned)) or None,
        beyond_xai_until=reading.beyond_until,
        answers=tuple(
            AnswerHash(first_day=part.first_day, last_day=part.last_day, sha256=part.sha256.hex())
            for part in reading.parts
        ),
    )


def _key_version(claim: Claim) -> int | None:
    return claim.credential.credential_version if claim.credential else None
