"""Operators list, retry and cancel windows."""

from datetime import timedelta
from uuid import uuid4

from contract.fields import Trigger
from contract.problems import Code
from syncer.coverage import UnreadDays
from syncer.leases import Claim
from syncer.operations import queue
from syncer.operations.queue import OpenWindow
from syncer.provider import ReadTransientError

from tests.syncer.support.claims import claim_one
from tests.syncer.support.syncer import SyncerHarness


async def _waiting(syncer: SyncerHarness) -> list[OpenWindow]:
    async with syncer.database.transaction() as connection:
        return await queue.waiting(connection)


async def _claimed(syncer: SyncerHarness) -> Claim:
    claim = await claim_one(syncer.attempt, "somebody")
    assert claim is not None
    return claim


async def test_open_windows_are_listed_with_their_state(syncer: SyncerHarness) -> None:
    due, keyless = await syncer.integration(), uuid4()
    await syncer.ask(due, Trigger.VISIT)
    await syncer.announce(await syncer.state(keyless, history_from=await syncer.today()))

    states = {one.integration_id: (one.state, one.trigger) for one in await _waiting(syncer)}
    assert states == {due: ("due", "visit"), keyless: ("waiting_for_key", "backfill")}

    await _claimed(syncer)
    assert {one.state for one in await _waiting(syncer)} == {"in_hand", "waiting_for_key"}


async def test_a_window_that_waits_for_its_next_attempt_can_be_made_due(syncer: SyncerHarness) -> None:
    await syncer.ask(await syncer.integration())
    syncer.xai.answers.append(ReadTransientError(Code.XAI_UNAVAILABLE))
    await syncer.settle()
    (waits,) = await _waiting(syncer)
    assert (waits.state, waits.code, waits.attempts) == ("waiting", "xai_unavailable", 1)

    async with syncer.database.transaction() as connection:
        assert await queue.retry(connection, [waits.window_id, uuid4()]) == [waits.window_id]

    assert [one.state for one in await _waiting(syncer)] == ["due"]


async def test_a_retry_does_not_shorten_retry_after(syncer: SyncerHarness) -> None:
    await syncer.ask(await syncer.integration())
    syncer.xai.answers.append(ReadTransientError(Code.RATE_LIMITED, retry_after=600))
    await syncer.settle()
    (waits,) = await _waiting(syncer)

    async with syncer.database.transaction() as connection:
        await queue.retry(connection, [waits.window_id])

    (still,) = await _waiting(syncer)
    assert still.state == "waiting"
    assert still.due_at > waits.created_at + timedelta(seconds=500)


async def test_a_cancelled_window_ends_once_as_cancelled(syncer: SyncerHarness) -> None:
    request_id = await syncer.ask(await syncer.integration())
    (due,) = await _waiting(syncer)

    async with syncer.database.transaction() as connection:
        assert await queue.cancel(connection, [due.window_id]) == [due.window_id]
        assert await queue.cancel(connection, [due.window_id]) == []
    await syncer.settle()

    (outcome,) = syncer.failures()
    assert (outcome.code, outcome.final, outcome.request_ids) == (Code.CANCELLED, True, (request_id,))
    assert syncer.xai.calls == []
    assert await _waiting(syncer) == []


async def test_a_claimed_window_is_not_cancelled(syncer: SyncerHarness) -> None:
    await syncer.ask(await syncer.integration())
    held = await _claimed(syncer)

    async with syncer.database.transaction() as connection:
        assert await queue.cancel(connection, [held.window_id]) == []
        assert await queue.retry(connection, [held.window_id]) == [held.window_id]


async def test_a_window_that_cannot_be_cancelled_has_a_state_and_a_next_step(syncer: SyncerHarness) -> None:
    await syncer.ask(await syncer.integration())
    (ended,) = await _waiting(syncer)
    async with syncer.database.transaction() as connection:
        await queue.cancel(connection, [ended.window_id])
        (decided,) = await queue.why_not(connection, [ended.window_id])
    await syncer.settle()
    await syncer.ask(await syncer.integration())
    held = await _claimed(syncer)
    asked = [uuid4(), held.window_id, ended.window_id]

    async with syncer.database.transaction() as connection:
        assert await queue.cancel(connection, asked) == []
        refused = await queue.why_not(connection, asked)

    assert (decided.state, decided.code) == ("to_be_published", Code.WINDOW_DECIDED)
    assert [(one.window_id, one.state, one.code) for one in refused] == [
        (asked[0], "unknown", Code.NOT_FOUND),
        (held.window_id, "in_hand", Code.WINDOW_IN_HAND),
        (ended.window_id, "ended", Code.WINDOW_ENDED),
    ]
    assert "windows list" in refused[0].detail
    assert refused[2].detail.startswith("It ended at 20")


async def test_days_that_were_not_read_are_counted(syncer: SyncerHarness) -> None:
    today = await syncer.today()
    integration_id = uuid4()
    await syncer.announce(await syncer.state(integration_id, history_from=today - timedelta(days=3)))
    await syncer.seal(integration_id)

    async with syncer.database.transaction() as connection:
        assert await queue.unread(connection) == UnreadDays(3, 1, today - timedelta(days=3))
