"""Once a minute: missed days are queued, lost requests end, what is old goes."""

import asyncio
from datetime import date, timedelta
from uuid import UUID, uuid4

from common.metrics import WAITING_FOR_KEY
from contract.problems import Code
from syncer.domain import Days
from xai_usage import CallRefused, CallTransient

from tests.syncer.support.syncer import World


async def test_a_missed_day_is_read_without_anyone_asking(world: World) -> None:
    integration_id, day = await _missing_day(world)

    await world.healer.round()
    await world.settle()

    (window,) = world.publisher.windows()
    assert (window.first_day, window.last_day) == (day.first, day.last)
    (request_id,) = window.request_ids
    assert request_id.startswith(f"heal:{integration_id}:{day.first}:{day.last}:1:")


async def test_a_round_that_comes_too_early_queues_nothing_more(world: World) -> None:
    await _missing_day(world)
    for _ in range(3):
        await world.healer.round()
        await world.settle()

    assert len(world.xai.asked) == 1


async def test_a_day_that_was_not_confirmed_is_tried_again_under_the_next_number(world: World) -> None:
    integration_id, day = await _missing_day(world)
    for _ in range(2):
        await world.healer.round()
        await world.settle()
        await world.sql("UPDATE coverage SET heal_after = NULL, published_at = published_at - interval '7 hours'")

    for attempt, window in enumerate(world.publisher.windows(), start=1):
        assert window.request_ids[0].startswith(f"heal:{integration_id}:{day.first}:{day.last}:{attempt}:")
    assert len(world.publisher.windows()) == 2


async def test_a_day_that_is_missed_once_more_is_read_as_soon_as_the_first_time(world: World) -> None:
    await _missing_day(world)
    for _ in range(2):
        await world.healer.round()
        await world.settle()
        await world.sql("UPDATE coverage SET heals = 0, heal_after = NULL, published_at = NULL")

    assert len(world.publisher.windows()) == 2


async def test_two_healers_at_once_read_a_day_once(world: World) -> None:
    await _missing_day(world)
    await asyncio.gather(*(world.healer.round() for _ in range(5)))
    await world.settle()

    assert len(await world.requests()) == len(world.publisher.windows()) == 1


async def test_a_window_that_waits_for_its_next_attempt_is_not_healed_beside_it(world: World) -> None:
    await _missing_day(world)
    world.xai.answers.append(CallTransient(Code.XAI_UNAVAILABLE))
    for _ in range(2):
        await world.healer.round()
        await world.settle()
        await world.sql("UPDATE coverage SET heal_after = NULL")
        await world.sql("UPDATE windows SET due_at = clock_timestamp() + interval '1 hour'")

    assert len(await world.windows()) == 1


async def test_a_request_for_what_nobody_knows_ends_after_ten_minutes(world: World) -> None:
    integration_id = uuid4()
    request_id = await world.ask(integration_id)
    await world.healer.round()
    assert world.publisher.records == []
    await _wait_eleven_minutes(world)

    await world.healer.round()
    await world.healer.round()

    (failure,) = world.publisher.failures()
    assert (failure.integration_id, failure.request_ids) == (integration_id, (request_id,))
    assert (failure.code, failure.final, failure.account_id, failure.observed_at) == ("not_found", True, None, None)


async def test_an_end_that_the_broker_did_not_take_is_told_later_and_stays_an_end(world: World) -> None:
    integration_id = uuid4()
    request_id = await world.ask(integration_id)
    await _wait_eleven_minutes(world)
    world.publisher.takes(0)
    await world.healer.round()

    await world.announce(await world.state(integration_id))
    world.publisher.takes()
    await world.healer.round()

    assert [one.request_ids for one in world.publisher.failures()] == [(request_id,)]
    assert world.publisher.records == world.publisher.refused
    assert request_id not in await _placed(world)


async def test_a_request_that_crossed_with_its_integration_is_placed(world: World) -> None:
    integration_id = uuid4()
    request_id = await world.ask(integration_id)
    await world.announce(await world.state(integration_id))
    await world.sql("UPDATE requests SET window_id = NULL WHERE request_id = :id", id=request_id)
    await _wait_eleven_minutes(world)

    await world.healer.round()

    assert world.publisher.failures() == []
    assert request_id in await _placed(world)


async def test_windows_that_wait_long_for_their_key_are_counted(world: World) -> None:
    await world.ask(await world.integration())
    await _nothing_is_missing(world)
    await world.sql("DELETE FROM credentials")
    await world.healer.round()
    assert WAITING_FOR_KEY._value.get() == 0  # noqa: SLF001 - the client has no other way to read it
    await world.sql("UPDATE windows SET due_at = due_at - interval '11 minutes'")

    await world.healer.round()

    assert WAITING_FOR_KEY._value.get() == 1  # noqa: SLF001 - as above


async def test_what_is_old_is_put_away_and_what_is_open_stays(world: World) -> None:
    done, waiting = await world.integration(), await world.integration()
    await _nothing_is_missing(world)
    await world.ask(done)
    await world.settle()
    await world.sql("DELETE FROM credentials")
    await world.ask(waiting)
    await world.sql("UPDATE windows SET closed_at = closed_at - interval '31 days'")
    await world.sql("UPDATE requests SET received_at = received_at - interval '31 days'")
    await world.sql("UPDATE raw_answers SET observed_at = observed_at - interval '91 days'")

    await world.healer.round()

    assert {one.integration_id for one in await world.windows()} == {waiting}
    assert {one.integration_id for one in await world.requests()} == {waiting}
    assert await world.sql("SELECT * FROM raw_answers") == []


async def test_one_step_that_fails_does_not_stop_the_others(world: World) -> None:
    await world.ask(uuid4())
    await _wait_eleven_minutes(world)
    world.publisher.takes(0)
    await world.ask(await world.integration())
    await _nothing_is_missing(world)
    await world.sql("DELETE FROM credentials")
    await world.sql("UPDATE windows SET due_at = due_at - interval '11 minutes'")
    WAITING_FOR_KEY.set(0)

    await world.healer.round()

    assert WAITING_FOR_KEY._value.get() == 1  # noqa: SLF001 - the client has no other way to read it


async def _missing_day(world: World) -> tuple[UUID, Days]:
    """An integration that should have the day before yesterday, which is over whatever the hour."""
    integration_id, today = await world.integration(), await world.today()
    day = today - timedelta(days=2)
    await world.sql("UPDATE integrations SET history_from = :day", day=day)
    read = """INSERT INTO coverage (integration_id, day, confirmed_at)
              SELECT :id, d::date, clock_timestamp() FROM generate_series(CAST(:first AS timestamp), :last, '1 day') d"""
    await world.sql(read, id=integration_id, first=day + timedelta(days=1), last=today + timedelta(days=1))
    await world.sql("UPDATE coverage SET confirmed_at = confirmed_at + interval '2 days'")
    return integration_id, Days(day, day)


async def _nothing_is_missing(world: World) -> None:
    await world.sql("UPDATE integrations SET history_from = current_date")


async def _wait_eleven_minutes(world: World) -> None:
    await world.sql("UPDATE requests SET received_at = received_at - interval '11 minutes'")


async def _placed(world: World) -> set[str]:
    rows = await world.sql("SELECT request_id FROM requests JOIN windows USING (window_id)")
    return {row.request_id for row in rows}


async def test_a_new_key_has_what_was_missed_under_the_former_one_read_at_once(world: World) -> None:
    today = await world.today()
    integration_id = uuid4()
    await world.announce(await world.state(integration_id))
    await world.seal(integration_id)
    world.xai.answers.append(CallRefused(Code.KEY_REFUSED))
    await world.settle()
    healing = asyncio.create_task(world.healer.run())
    try:
        await world.announce(await world.state(integration_id, version=2, credential_version=2))
        await world.seal(integration_id, version=2)

        async with world.working():
            await world.until(lambda: _read_since(world, today - timedelta(days=89)))
    finally:
        healing.cancel()
        await asyncio.gather(healing, return_exceptions=True)


async def _read_since(world: World, first: date) -> bool:
    return any(first in window.totals for window in world.publisher.windows())
