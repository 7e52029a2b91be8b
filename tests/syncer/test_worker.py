"""From a due window to what is published: readings, crashes, lost leases, many workers."""

import asyncio
import hashlib
import random
import zlib
from datetime import timedelta

import pytest
from contract.fields import Trigger
from contract.messages import CostRecorded
from syncer import windows, worker
from syncer.domain import Days

from tests.syncer.support.fakes import RAW, says
from tests.syncer.support.syncer import World


async def test_a_reading_is_published_day_by_day_and_then_its_window(world: World) -> None:
    integration_id, days = await world.integration(), await world.recent()
    request_id = await world.ask(integration_id, Trigger.FORCE, days)

    await world.settle()

    *recorded, last = world.publisher.records
    (window,) = world.publisher.windows()
    costs = [CostRecorded.model_validate_json(one.body) for one in recorded]
    assert last.type == "WindowRead"
    assert {one.day: one.usd for one in costs} == window.totals
    assert sorted(window.totals) == [days.first + timedelta(days=n) for n in range(8)]
    assert {one.reading_id for one in costs} == {window.reading_id}
    assert window.request_ids == (request_id,)
    assert {one.event_id for one in recorded} == {f"{window.reading_id}:{day}" for day in window.totals}
    assert last.event_id == f"{window.reading_id}:window"
    assert {one.key.decode() for one in world.publisher.records} == {str(integration_id)}


async def test_the_answer_is_kept_as_it_came_compressed_with_its_hash(world: World) -> None:
    await world.ask(await world.integration())

    await world.settle()

    (raw,) = await world.sql("SELECT * FROM raw_answers")
    assert zlib.decompress(raw.body) == RAW
    assert raw.sha256 == hashlib.sha256(RAW).digest()
    assert raw.reading_id == world.publisher.windows()[0].reading_id


async def test_the_window_itself_is_said_only_after_all_of_its_days_are_acknowledged(world: World) -> None:
    await world.ask(await world.integration())
    world.publisher.refuses = lambda _: not world.publisher.refused

    async with world.working():
        await world.until(lambda: _holds(len(world.publisher.records + world.publisher.refused) == 8))

    assert world.publisher.windows() == []


async def test_what_a_dead_process_had_decided_is_published_word_for_word_without_asking_again(world: World) -> None:
    await world.ask(await world.integration())
    world.publisher.takes(0)
    async with world.working():
        await world.until(lambda: _holds(len(world.publisher.refused) == 8))

    world.publisher.takes()
    await world.leases_run_out()
    await world.settle()

    assert len(world.xai.asked) == 1
    assert set(world.publisher.records[:8]) == set(world.publisher.refused)
    assert (await world.window()).closed_at is not None


@pytest.mark.parametrize("taken", [3, 8, 9])
async def test_a_process_that_died_while_publishing_leaves_only_identical_copies(world: World, taken: int) -> None:
    await world.ask(await world.integration())
    decided = await world.dies_after_publishing(taken)

    await world.leases_run_out()
    await world.settle()

    assert len(world.xai.asked) == 1
    assert len(world.publisher.records) == taken + 9
    assert set(world.publisher.records) == decided


async def test_what_was_decided_before_the_removal_is_not_taken_back(world: World) -> None:
    integration_id = await world.integration()
    await world.ask(integration_id)
    decided = await world.dies_after_publishing(3)
    await world.leases_run_out()

    await world.remove(integration_id)
    await world.settle()

    assert set(world.publisher.records) == decided


async def test_who_lost_its_lease_drops_its_answer(world: World) -> None:
    await world.ask(await world.integration())
    froze, goes_on = asyncio.Event(), asyncio.Event()

    async def freeze() -> None:
        world.xai.meanwhile = None
        froze.set()
        await goes_on.wait()

    world.xai.meanwhile = freeze
    async with world.working(workers=2):
        await froze.wait()
        await world.leases_run_out()
        world.wake()
        await world.until(lambda: _holds(bool(world.publisher.windows())))
        goes_on.set()
        await world.until(lambda: _holds(not world.xai.in_hand))

    assert len(world.xai.asked) == 2
    assert len(world.publisher.windows()) == 1
    assert len(await world.sql("SELECT * FROM raw_answers")) == 1


async def test_an_answer_from_before_a_lease_ran_out_does_not_serve_who_asked_afterwards(world: World) -> None:
    integration_id, days = await world.integration(), await world.recent()
    await world.ask(integration_id, Trigger.DAILY, days, request_id="before")

    async def freeze() -> None:
        world.xai.meanwhile = None
        await world.leases_run_out()
        await world.ask(integration_id, Trigger.FORCE, days, request_id="after")

    world.xai.meanwhile = freeze
    await world.settle(in_flight=1)

    (window,) = world.publisher.windows()
    assert len(world.xai.asked) == 2
    assert set(window.request_ids) == {"before", "after"}


async def test_a_stopped_worker_leaves_its_window_to_the_next_at_once(world: World) -> None:
    await world.ask(await world.integration())
    world.xai.meanwhile = asyncio.Event().wait
    async with world.working():
        await world.until(lambda: _holds(bool(world.xai.in_hand)))
    world.xai.meanwhile = None

    await world.settle()

    assert len(world.publisher.windows()) == 1


async def test_a_window_whose_attempt_hangs_is_let_go_and_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "ATTEMPT_DEADLINE", 0.5)
    monkeypatch.setattr(windows, "LEASE_SECONDS", 0.1)
    await world.ask(await world.integration())

    async def hang() -> None:
        world.xai.meanwhile = None
        await asyncio.Event().wait()

    world.xai.meanwhile = hang
    async with world.working():
        await world.until(lambda: _published(world))

    assert len(world.xai.asked) > 1


async def _published(world: World) -> bool:
    return len(world.publisher.windows()) == 1


async def test_of_an_integration_one_window_is_in_hand_whoever_asks(world: World) -> None:
    integrations, today = [await world.integration() for _ in range(5)], await world.today()
    wishes = [
        (one, Days(today - timedelta(days=n), today - timedelta(days=n))) for one in integrations for n in range(8)
    ]
    random.Random(7).shuffle(wishes)
    triggers = list(Trigger)
    for number, (integration_id, days) in enumerate(wishes):
        await world.ask(integration_id, triggers[number % len(triggers)], days)

    await world.settle(workers=3, in_flight=4)

    assert world.xai.overlaps == 0
    assert world.xai.most_at_once > 1
    outcomes = [one.request_ids for one in world.publisher.windows()] + [
        one.request_ids for one in world.publisher.failures()
    ]
    assert sorted(request for ids in outcomes for request in ids) == sorted(
        one.request_id for one in await world.requests()
    )


async def test_of_a_team_one_window_is_in_hand_however_many_connected_it(world: World) -> None:
    for _ in range(3):
        await world.ask(await world.integration(team_id="slow"), Trigger.FORCE)
    other = await world.integration()
    await world.ask(other, Trigger.BACKFILL)

    goes_on = asyncio.Event()
    world.xai.meanwhile = goes_on.wait
    async with world.working(in_flight=4):
        await world.until(lambda: _holds(other in world.xai.in_hand))
        assert len(world.xai.in_hand) == 2
        goes_on.set()
        await world.until(lambda: _holds(len(world.publisher.windows()) == 4))


async def test_a_process_has_at_most_so_many_windows_in_hand(world: World) -> None:
    for _ in range(9):
        await world.ask(await world.integration())

    goes_on = asyncio.Event()
    world.xai.meanwhile = goes_on.wait
    async with world.working(in_flight=3):
        await world.until(lambda: _holds(len(world.xai.in_hand) == 3))
        goes_on.set()
        await world.until(lambda: _holds(len(world.publisher.windows()) == 9))

    assert world.xai.most_at_once == 3
    assert len(world.xai.asked) == 9


async def test_people_go_first_and_backfills_last_newest_first(world: World) -> None:
    integration_id, today = await world.integration(), await world.today()
    older = [Days(today - timedelta(days=n), today - timedelta(days=n)) for n in range(1, 7)]
    order = [Trigger.BACKFILL, Trigger.BACKFILL, Trigger.HEAL, Trigger.DAILY, Trigger.VISIT, Trigger.FORCE]
    for trigger, days in zip(order, reversed(older), strict=True):
        await world.ask(integration_id, trigger, days)

    await world.settle()

    assert [window.trigger for window in world.publisher.windows()] == [
        Trigger.FORCE,
        Trigger.VISIT,
        Trigger.DAILY,
        Trigger.HEAL,
        Trigger.BACKFILL,
        Trigger.BACKFILL,
    ]
    assert world.publisher.windows()[-1].first_day < world.publisher.windows()[-2].first_day


async def test_each_reading_is_observed_after_the_one_before_whatever_the_clock_does(world: World) -> None:
    integration_id = await world.integration()
    await world.sql("UPDATE integrations SET observed_at = clock_timestamp() + interval '1 hour'")
    before = (await world.row_of(integration_id)).observed_at

    await world.ask(integration_id)
    await world.settle()

    assert world.publisher.windows()[0].observed_at == before + timedelta(microseconds=1)


async def test_windows_wait_until_the_announced_key_has_arrived(world: World) -> None:
    integration_id = await world.integration()
    await world.announce(await world.state(integration_id, version=2, credential_version=2))
    await world.settle()
    assert world.xai.asked == []

    await world.seal(integration_id, version=2)
    await world.settle()

    assert [version for _, version, _ in world.xai.asked] == [2]


async def test_a_day_that_is_cut_is_left_out_and_the_others_are_published(world: World) -> None:
    integration_id, days = await world.integration(), await world.recent()
    world.xai.answers.append(lambda asked: says(asked, cut=[days.last]))
    await world.ask(integration_id, Trigger.FORCE, days)

    await world.settle()

    (window,) = world.publisher.windows()
    assert (window.first_day, window.last_day) == (days.first, days.last)
    assert days.last not in window.totals
    assert len(window.totals) == 7


async def test_a_range_is_cut_to_what_xai_can_tell(world: World) -> None:
    integration_id, today = await world.integration(), await world.today()

    await world.ask(integration_id, Trigger.FORCE, Days(today - timedelta(days=400), today + timedelta(days=400)))
    await world.settle()

    (window,) = world.publisher.windows()
    assert window.last_day == window.observed_at.date()
    assert (window.last_day - window.first_day).days == 89


@pytest.mark.parametrize("wide", [True, False])
async def test_a_visit_soon_after_a_reading_makes_no_call_but_stops_nobody_elses(world: World, *, wide: bool) -> None:
    integration_id, days = await world.integration(), await world.recent()
    await world.ask(integration_id, Trigger.FORCE, days)
    await world.settle()

    month = Days(days.last - timedelta(days=29), days.last)
    if wide:
        await world.ask(integration_id, Trigger.BACKFILL, month)
    await world.ask(integration_id, Trigger.VISIT, days)
    await world.settle()

    assert len(world.xai.asked) == 1 + wide
    assert [one.code for one in world.publisher.failures()] == ([] if wide else ["fresh"])
    assert all(one.final and one.observed_at is None for one in world.publisher.failures())


async def _holds(truth: bool) -> bool:  # noqa: FBT001 - the value is all there is
    return truth


async def test_a_fault_of_ours_waits_as_any_other_and_does_not_ask_xai_again_and_again(world: World) -> None:
    await world.ask(await world.integration())
    world.xai.answers.append(RuntimeError("an unknown bug"))

    await world.settle()

    window = await world.window()
    assert (window.attempts, window.code, window.closed_at) == (1, "internal", None)
    assert len(world.xai.asked) == 1
    await world.all_is_due()
    await world.settle()
    assert (await world.window()).closed_at is not None
