"""What operators see of the queue, and may do to it."""

from datetime import timedelta
from uuid import uuid4

from contract.fields import Trigger
from contract.problems import Code
from syncer.operations import queue
from syncer.operations.queue import OnGiveUp, Waiting
from syncer.windows import claim
from xai_usage import CallTransient

from tests.syncer.support.syncer import World


async def _waiting(world: World) -> list[Waiting]:
    async with world.database.transaction() as connection:
        return await queue.waiting(connection)


async def test_what_waits_is_told_with_why(world: World) -> None:
    due, keyless = await world.integration(), uuid4()
    await world.ask(due, request_id="due")
    await world.announce(await world.state(keyless, history_from=await world.today()))

    told = {one.integration_id: one.state for one in await _waiting(world)}
    assert told == {due: "due", keyless: "waiting_for_key"}

    async with world.database.transaction() as connection:
        await claim(connection, "somebody")
    assert {one.state for one in await _waiting(world)} == {"in_hand", "waiting_for_key"}


async def test_a_window_that_waits_for_its_next_attempt_can_be_hurried(world: World) -> None:
    await world.ask(await world.integration())
    world.xai.answers.append(CallTransient(Code.XAI_UNAVAILABLE))
    await world.settle()
    (waits,) = await _waiting(world)
    assert (waits.state, waits.code, waits.attempts) == ("waiting", "xai_unavailable", 1)

    async with world.database.transaction() as connection:
        assert await queue.retry(connection, [waits.window_id, uuid4()]) == [waits.window_id]

    assert [one.state for one in await _waiting(world)] == ["due"]


async def test_who_hurries_does_not_shorten_what_xai_asked_for(world: World) -> None:
    await world.ask(await world.integration())
    world.xai.answers.append(CallTransient(Code.RATE_LIMITED, retry_after=600))
    await world.settle()
    (waits,) = await _waiting(world)

    async with world.database.transaction() as connection:
        await queue.retry(connection, [waits.window_id])

    (still,) = await _waiting(world)
    assert still.state == "waiting"
    assert still.due_at > waits.created_at + timedelta(seconds=500)


async def test_a_window_that_is_cancelled_ends_once_and_says_so(world: World) -> None:
    request_id = await world.ask(await world.integration())
    (due,) = await _waiting(world)

    async with world.database.transaction() as connection:
        assert await queue.cancel(connection, [due.window_id]) == [due.window_id]
        assert await queue.cancel(connection, [due.window_id]) == []
    await world.settle()

    (outcome,) = world.publisher.failures()
    assert (outcome.code, outcome.final, outcome.request_ids) == (Code.CANCELLED, True, (request_id,))
    assert world.xai.asked == []
    assert await _waiting(world) == []


async def test_a_window_in_hand_is_not_cancelled(world: World) -> None:
    await world.ask(await world.integration())
    async with world.database.transaction() as connection:
        held = await claim(connection, "somebody")
    assert held is not None

    async with world.database.transaction() as connection:
        assert await queue.cancel(connection, [held.window_id]) == []
        assert await queue.retry(connection, [held.window_id]) == [held.window_id]


async def test_a_window_that_nothing_can_be_done_to_is_told_with_its_state_and_the_next_step(world: World) -> None:
    await world.ask(await world.integration())
    (ended,) = await _waiting(world)
    async with world.database.transaction() as connection:
        await queue.cancel(connection, [ended.window_id])
        (decided,) = await queue.why_not(connection, [ended.window_id])
    await world.settle()
    await world.ask(await world.integration())
    async with world.database.transaction() as connection:
        held = await claim(connection, "somebody")
    assert held is not None
    asked = [uuid4(), held.window_id, ended.window_id]

    async with world.database.transaction() as connection:
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


async def test_days_that_were_not_read_are_counted(world: World) -> None:
    today = await world.today()
    integration_id = uuid4()
    await world.announce(await world.state(integration_id, history_from=today - timedelta(days=3)))
    await world.seal(integration_id)

    async with world.database.transaction() as connection:
        assert await queue.unread(connection) == OnGiveUp(3, 1, today - timedelta(days=3))


async def test_what_people_ask_for_is_told_as_theirs(world: World) -> None:
    await world.ask(await world.integration(), Trigger.VISIT)

    assert [one.trigger for one in await _waiting(world)] == ["visit"]
