"""What each message does to the syncer."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from common.metrics import REQUESTS_IGNORED
from contract.cloudevents import Event, MalformedError, Tombstone
from contract.fields import Plan, Trigger
from syncer.domain import Days

from tests.syncer.support.syncer import World


async def test_a_new_integration_queues_its_backfill_newest_first(world: World) -> None:
    integration_id = uuid4()

    await world.announce(await world.state(integration_id))

    windows = await world.windows()
    newest = windows[0].created_at.date()
    assert [(one.first_day, one.last_day) for one in windows] == [
        (newest - timedelta(days=before + 29), newest - timedelta(days=before)) for before in (0, 30, 60)
    ]
    assert {one.request_id for one in await world.requests()} == {
        f"backfill:{integration_id}:1:{one.first_day}" for one in windows
    }


async def test_a_free_plan_fills_in_thirty_days(world: World) -> None:
    await world.announce(await world.state(uuid4(), plan=Plan.FREE))

    window = await world.window()

    assert (window.last_day - window.first_day).days == 29


async def test_a_state_that_comes_again_changes_nothing(world: World) -> None:
    state = await world.state(uuid4())
    await world.announce(state)
    before = await world.windows(), await world.requests()

    await world.announce(state)

    assert (await world.windows(), await world.requests()) == before


async def test_an_older_state_is_ignored(world: World) -> None:
    integration_id = uuid4()
    await world.announce(await world.state(integration_id, version=5, team_id="new"))

    await world.announce(await world.state(integration_id, version=4, team_id="old"))

    assert (await world.row_of(integration_id)).team_id == "new"


async def test_a_change_of_name_queues_nothing(world: World) -> None:
    integration_id = await world.integration()

    await world.announce(await world.state(integration_id, version=2, label="Renamed"))

    assert await world.windows() == []


async def test_an_upgrade_fills_in_what_the_better_plan_promises(world: World) -> None:
    integration_id, today = uuid4(), await world.today()
    free = {"plan": Plan.FREE, "history_from": today - timedelta(days=29)}
    await world.announce(await world.state(integration_id, **free))

    await world.announce(await world.state(integration_id, version=2, plan=Plan.PRO))

    fresh = [
        one.request_id for one in await world.requests() if one.request_id.startswith(f"backfill:{integration_id}:2:")
    ]
    assert len(fresh) == 3


async def test_an_integration_that_comes_back_is_filled_in_again(world: World) -> None:
    integration_id = await world.integration()
    await world.remove(integration_id)

    await world.announce(await world.state(integration_id, version=3, credential_version=2))

    assert len(await world.windows()) == 3
    assert all(one.request_id.startswith(f"backfill:{integration_id}:3:") for one in await world.requests())


async def test_removal_ends_what_is_open_and_drops_the_key(world: World) -> None:
    integration_id = uuid4()
    await world.announce(await world.state(integration_id))
    await world.seal(integration_id)

    await world.remove(integration_id)
    await world.settle()

    assert world.xai.asked == []
    failures = world.publisher.failures()
    assert [(one.code, one.final, one.observed_at) for one in failures] == [("not_found", True, None)] * 3
    assert await world.sql("SELECT * FROM credentials") == []


async def test_a_key_that_comes_after_the_removal_is_not_kept(world: World) -> None:
    integration_id = await world.integration()
    await world.remove(integration_id)

    await world.seal(integration_id)

    assert await world.sql("SELECT * FROM credentials") == []


async def test_erasing_leaves_no_answer_of_xai_behind(world: World) -> None:
    integration_id = await world.integration()
    await world.ask(integration_id)
    await world.settle()
    assert await world.sql("SELECT * FROM raw_answers")

    await world.remove(integration_id, history="erase")

    assert await world.sql("SELECT * FROM raw_answers") == []
    assert await world.sql("SELECT * FROM coverage") == []


async def test_the_newest_pair_of_key_and_wrap_is_kept(world: World) -> None:
    integration_id = await world.integration()
    for version, wrap in ((2, 1), (2, 3), (2, 2), (1, 9)):
        await world.seal(integration_id, version, wrap)

    (kept,) = await world.sql("SELECT credential_version, wrap_version, envelope FROM credentials")

    assert (kept.credential_version, kept.wrap_version, kept.envelope["wrap"]) == (2, 3, "3")


@pytest.mark.parametrize(("version", "left"), [("1", 1), ("2", 0), ("3", 0)])
async def test_a_tombstone_below_the_key_that_is_held_is_ignored(world: World, version: str, left: int) -> None:
    integration_id = await world.integration()
    await world.seal(integration_id, version=2)

    await world.handlers.credential_gone(_tombstone(str(integration_id), version))

    assert len(await world.sql("SELECT * FROM credentials")) == left


@pytest.mark.parametrize(("key", "version"), [("no-uuid", "1"), (str(UUID(int=1)), "one")])
async def test_a_tombstone_that_says_nothing_sensible_is_malformed(world: World, key: str, version: str) -> None:
    with pytest.raises(MalformedError):
        await world.handlers.credential_gone(_tombstone(key, version))


def _tombstone(key: str, version: str) -> Event[Tombstone]:
    return Event(Tombstone(key=key, headers={"credential_version": version}), "", datetime.now(UTC))


@pytest.mark.parametrize("trigger", [Trigger.DAILY, Trigger.FORCE, Trigger.VISIT])
async def test_a_request_without_a_range_means_the_seven_days_before_today_and_today(
    world: World, trigger: Trigger
) -> None:
    await world.ask(await world.integration(), trigger)

    window = await world.window()

    assert window.last_day == window.created_at.date()
    assert (window.last_day - window.first_day).days == 7


async def test_a_request_before_its_integration_waits_and_is_placed(world: World) -> None:
    integration_id = uuid4()
    request_id = await world.ask(integration_id)
    assert await world.windows() == []

    await world.announce(await world.state(integration_id))

    (placed,) = [one for one in await world.requests() if one.request_id == request_id]
    (window,) = [one for one in await world.windows() if one.window_id == placed.window_id]
    assert window.trigger == "force"


async def test_a_request_for_an_integration_that_went_ends_at_once(world: World) -> None:
    integration_id = await world.integration()
    await world.remove(integration_id)

    request_id = await world.ask(integration_id)
    await world.settle()

    (failure,) = world.publisher.failures()
    assert (failure.code, failure.final, failure.request_ids) == ("not_found", True, (request_id,))


async def test_a_request_is_taken_once(world: World) -> None:
    integration_id = await world.integration()
    await world.ask(integration_id, request_id="same")
    await world.settle()

    await world.ask(integration_id, request_id="same")
    await world.settle()

    assert len(world.xai.asked) == 1


async def test_a_request_joins_a_window_that_asks_for_its_days_already(world: World) -> None:
    integration_id, days = await world.integration(), await world.recent()
    first = await world.ask(integration_id, Trigger.HEAL, days)

    second = await world.ask(integration_id, Trigger.DAILY, Days(days.last, days.last))
    await world.settle()

    (window,) = world.publisher.windows()
    assert window.request_ids == (first, second)
    assert window.trigger is Trigger.DAILY
    assert len(world.xai.asked) == 1


async def test_a_request_for_more_days_opens_a_window_of_its_own(world: World) -> None:
    integration_id, days = await world.integration(), await world.recent()
    await world.ask(integration_id, Trigger.HEAL, Days(days.first, days.last - timedelta(days=1)))

    await world.ask(integration_id, Trigger.HEAL, days)

    assert len(await world.windows()) == 2


async def test_no_window_answers_more_requests_than_its_outcome_can_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.requests.MAX_REQUESTS", 2)
    integration_id, days = await world.integration(), await world.recent()

    for _ in range(3):
        await world.ask(integration_id, Trigger.VISIT, days)

    assert len(await world.windows()) == 2


async def test_a_request_older_than_a_week_is_ignored_and_counted(world: World) -> None:
    integration_id, old = await world.integration(), datetime.now(UTC) - timedelta(days=7, seconds=1)
    before = REQUESTS_IGNORED._value.get()  # noqa: SLF001 - the client has no other way to read it

    await world.ask(integration_id, requested_at=old)
    await world.ask(integration_id, recorded_at=old)

    assert await world.requests() == []
    assert REQUESTS_IGNORED._value.get() == before + 2  # noqa: SLF001 - as above


async def test_a_request_from_more_than_an_hour_ahead_is_malformed(world: World) -> None:
    integration_id, now = await world.integration(), datetime.now(UTC)
    await world.ask(integration_id, requested_at=now + timedelta(minutes=59))

    with pytest.raises(MalformedError):
        await world.ask(integration_id, requested_at=now + timedelta(minutes=61))


async def test_the_daily_run_reaches_every_active_integration(world: World) -> None:
    active = {await world.integration() for _ in range(3)}
    await world.remove(await world.integration())

    await world.ask(None, Trigger.DAILY)

    assert {one.integration_id for one in await world.windows()} == active


@pytest.mark.parametrize(("trigger", "days_ago"), [(Trigger.FORCE, 30), (Trigger.DAILY, 6)])
async def test_a_refused_key_is_tried_when_a_person_asks_and_daily_for_a_week(
    world: World, trigger: Trigger, days_ago: int
) -> None:
    integration_id = await world.integration()
    await _refused(world, integration_id, days_ago)

    await world.ask(integration_id, trigger)
    async with world.working():
        await world.until(lambda: _asked(world))


@pytest.mark.parametrize(
    ("trigger", "days_ago"), [(Trigger.DAILY, 8), (Trigger.VISIT, 0), (Trigger.HEAL, 0), (Trigger.BACKFILL, 0)]
)
async def test_other_requests_for_a_refused_key_end_at_once_with_its_code(
    world: World, trigger: Trigger, days_ago: int
) -> None:
    integration_id = await world.integration()
    await _refused(world, integration_id, days_ago)

    await world.ask(integration_id, trigger)
    await world.settle()

    (failure,) = world.publisher.failures()
    assert (failure.code, failure.final, failure.observed_at) == ("access_denied", True, None)
    assert world.xai.asked == []


async def _refused(world: World, integration_id: UUID, days_ago: int) -> None:
    await world.sql(
        """UPDATE integrations SET refused_code = 'access_denied',
           refused_since = clock_timestamp() - make_interval(days => :days) WHERE integration_id = :id""",
        id=integration_id,
        days=days_ago,
    )


async def _asked(world: World) -> bool:
    return bool(world.xai.asked)


async def test_a_wish_for_all_that_is_replayed_does_not_mean_who_came_later(world: World) -> None:
    former = await world.integration()
    before, now = datetime.now(UTC) - timedelta(hours=2), datetime.now(UTC)
    later = await world.state(uuid4(), added_at=now)
    await world.announce(later)

    await world.ask(None, Trigger.DAILY, requested_at=before, recorded_at=before)
    await world.ask(None, Trigger.DAILY)

    taken = [row.integration_id for row in await world.requests() if row.trigger == "daily"]
    assert sorted(taken, key=str) == sorted([former, former, later.integration_id], key=str)
