"""Deciding on a window in hand: what xAI answered, or why it was not read. Each in one transaction, under the claim."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

from contract.fields import Trigger
from contract.messages import SyncFailed, WindowRead
from contract.problems import Code
from sqlalchemy.ext.asyncio import AsyncConnection
from xai_usage import CallFailed, CallRefused, CallTransient, Reading

from syncer import coverage, windows
from syncer.decisions import Decision, FailureDecision, decide_reading
from syncer.domain import default_days, gives_up, pause_after
from syncer.refusals import mark_refused
from syncer.requests import Request, take
from syncer.store import Credential, clear_refusal, now
from syncer.windows import Claim, Held


async def reading(
    connection: AsyncConnection, claim: Claim, credential: Credential, answer: Reading
) -> Decision | None:
    """Store a reading and its raw answers; None where the claim was lost, and the answer is dropped."""
    held = await windows.hold(connection, claim)
    if held is None:
        return None
    if held.removed:
        return await final(connection, claim, held, Code.NOT_FOUND)
    decision = decide_reading(answer, _window_read(claim, held, credential, answer))
    await coverage.save_raw(connection, decision.window, answer.parts)
    if held.refused:
        await _recover(connection, claim)
    if not decision.days:
        return await final(connection, claim, held, Code.ANSWER_CUT, credential)
    await windows.decide(connection, claim.window_id, decision)
    await coverage.note_published(connection, decision.window)
    return decision


async def failure(
    connection: AsyncConnection, claim: Claim, credential: Credential, failed: CallFailed, chance: Callable[[], float]
) -> Decision | None:
    """Store a failed attempt; None where there is nothing to publish: the claim was lost, or nothing new is to be said."""
    held = await windows.hold(connection, claim)
    if held is None:
        return None
    if held.removed:
        return await final(connection, claim, held, Code.NOT_FOUND)
    if isinstance(failed, CallTransient):
        return await _transient(connection, claim, held, credential, failed, chance())
    if isinstance(failed, CallRefused):
        if credential.credential_version < held.credential_version:
            await windows.release(connection, claim, closed=False, due_now=True)
            return None
        await mark_refused(connection, claim.integration_id, failed.code, claim.observed_at)
    return await final(connection, claim, held, failed.code, credential)


async def without_call(connection: AsyncConnection, claim: Claim, code: Code) -> Decision | None:
    """End the window with `code`, for which xAI need not be asked."""
    held = await windows.hold(connection, claim)
    return await final(connection, claim, held, code) if held else None


async def final(
    connection: AsyncConnection, claim: Claim, held: Held, code: Code, credential: Credential | None = None
) -> Decision:
    """Store the window's end; `credential` is the one that xAI was asked with, None where it was not asked."""
    return await _fail(connection, claim, _failed(claim, held, code, credential, final=True))


async def _transient(
    connection: AsyncConnection, claim: Claim, held: Held, credential: Credential, failed: CallTransient, chance: float
) -> Decision | None:
    at = await now(connection)
    since = claim.failed_since or at
    if gives_up(since, at):
        return await final(connection, claim, held, failed.code, credential)
    due_at = at + pause_after(claim.attempts + 1, failed.retry_after, chance)
    retry_after = at + timedelta(seconds=failed.retry_after) if failed.retry_after else None
    await windows.wait(connection, claim, code=failed.code, failed_since=since, due_at=due_at, retry_after=retry_after)
    if failed.code is claim.code:
        await windows.release(connection, claim, closed=False)
        return None
    outcome = _failed(claim, held, failed.code, credential, final=False)
    return await _fail(connection, claim, outcome.model_copy(update={"next_attempt_at": due_at}))


async def _fail(connection: AsyncConnection, claim: Claim, outcome: SyncFailed) -> Decision:
    ending = "final" if outcome.final else str(outcome.attempts)
    at = claim.observed_at
    decision = FailureDecision(event_id=f"{claim.window_id}:{ending}", at=at, outcome=outcome)
    await windows.decide(connection, claim.window_id, decision)
    return decision


async def _recover(connection: AsyncConnection, claim: Claim) -> None:
    """XAI accepts the key again: take in today."""
    await clear_refusal(connection, claim.integration_id)
    days = default_days(claim.observed_at.date())
    await take(
        connection,
        Request(f"recovered:{claim.window_id}", Trigger.DAILY, days),
        claim.integration_id,
        claim.observed_at,
    )


def _window_read(claim: Claim, held: Held, credential: Credential, answer: Reading) -> WindowRead:
    return WindowRead(
        account_id=claim.account_id,
        integration_id=claim.integration_id,
        reading_id=uuid4(),
        first_day=answer.first_day,
        last_day=answer.last_day,
        observed_at=claim.observed_at,
        totals={},
        trigger=held.trigger,
        request_ids=held.request_ids,
        credential_version=credential.credential_version,
    )


def _failed(claim: Claim, held: Held, code: Code, credential: Credential | None, *, final: bool) -> SyncFailed:
    return SyncFailed(
        account_id=claim.account_id,
        integration_id=claim.integration_id,
        trigger=held.trigger,
        request_ids=held.request_ids,
        first_day=claim.days.first,
        last_day=claim.days.last,
        code=code,
        final=final,
        attempts=claim.attempts + (credential is not None),
        credential_version=credential.credential_version if credential else None,
        observed_at=claim.observed_at if credential else None,
    )
