"""At the edges of days and years, and under a clock that steps: the right days are read, none twice, none out of order."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from contract.cloudevents import MalformedError
from contract.fields import Plan
from contract.messages import SyncCompleted
from contract.problems import Code
from hypothesis import given
from hypothesis import strategies as st
from syncer import coverage, domain, store
from syncer.domain import Days
from xai_usage import CallTransient

from tests.support.state_machines import Tables
from tests.syncer.support.syncer import World

DAY, HOUR, SECOND, INSTANT = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1), timedelta(microseconds=1)
EDGES = {
    "any day": date(2026, 11, 20),
    "year end": date(2027, 12, 31),
    "before a leap day": date(2028, 2, 28),
    "leap day": date(2028, 2, 29),
    "no leap day": date(2027, 2, 28),
}
every_edge = pytest.mark.parametrize("day", EDGES.values(), ids=EDGES)


def end_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC) + DAY


@pytest.fixture
async def tables(postgres: str, databases: Any) -> AsyncIterator[Tables]:
    assert databases  # the tables are there
    tables = Tables(postgres, "syncer", clock=True)
    await tables.take_the_clock()
    yield tables
    await tables.close_all()


@pytest.fixture
async def world(tables: Tables) -> World:
    world = World(tables.database, tables.owner)
    await world.sql("TRUNCATE integrations, credentials, requests, windows, coverage, raw_answers")
    return world


async def connected(world: World, first: date) -> UUID:
    """An integration with its key and nothing queued, expected to cover the days from `first`."""
    state = await world.state(uuid4(), history_from=first)
    async with world.database.transaction() as connection:
        await store.save_integration(connection, state)
    await world.seal(state.integration_id)
    return state.integration_id


async def ask(world: World, tables: Tables, team: UUID, days: Days | None = None, **said: Any) -> str:
    now = await tables.now()
    return await world.ask(team, days=days, **({"requested_at": now, "recorded_at": now} | said))


async def confirmed(world: World, team: UUID, day: date, at: datetime) -> None:
    said = {"account_id": "account-1", "integration_id": team, "first_day": day, "last_day": day, "trigger": "daily"}
    read = {"reading_id": uuid4(), "observed_at": at, "request_ids": (), "credential_version": 1}
    proven = {"usd": "1", "days_changed": 0, "reconciled": True, "unreconciled_days": ()}
    async with world.database.transaction() as connection:
        await coverage.confirm(connection, SyncCompleted.model_validate(said | read | proven))


async def healed(world: World) -> list[tuple[date, date]]:
    """What the healer queues when it looks now."""
    await world.healer.round()
    return [
        (one.first_day, one.last_day) for one in await world.windows() if one.trigger == "heal" and not one.closed_at
    ]


# the edges of days, months and years


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.sampled_from(Plan))
def test_ranges_have_their_number_of_days_over_every_leap_day_and_year_end(today: date, plan: Plan) -> None:
    all_time = Days(date(1999, 1, 1), date(2101, 1, 1))
    usual, told = domain.default_days(today), domain.readable(all_time, today)
    assert told is not None

    windows = domain.backfill(plan, today)

    assert ((usual.last - usual.first).days + 1, usual.last) == (8, today)
    assert ((told.last - told.first).days + 1, told.last) == (90, today)
    assert (windows[0].last, (today - windows[-1].first).days + 1) == (today, domain.BACKFILL_DAYS[plan])
    assert all(older.last + DAY == newer.first for newer, older in pairwise(windows))
    assert windows[-1].first >= told.first


@every_edge
async def test_a_sync_in_the_last_second_of_a_day_and_one_in_the_first_of_the_next(
    world: World, tables: Tables, day: date
) -> None:
    team = await connected(world, day)
    await tables.set_clock(end_of(day) - SECOND)
    await ask(world, tables, team)
    await world.settle()
    await tables.set_clock(end_of(day) + SECOND)
    await ask(world, tables, team)
    await world.settle()

    before, after = world.publisher.windows()

    assert (before.first_day, before.last_day) == (day - 7 * DAY, day)
    assert (after.first_day, after.last_day) == (day - 6 * DAY, day + DAY)
    assert before.observed_at < end_of(day) <= after.observed_at


@every_edge
async def test_what_is_asked_before_midnight_and_read_after_it_means_the_days_of_before(
    world: World, tables: Tables, day: date
) -> None:
    team = await connected(world, day)
    await tables.set_clock(end_of(day) - SECOND)
    oldest = day - 89 * DAY
    for days in (None, Days(oldest, oldest), Days(oldest, oldest + DAY)):
        await ask(world, tables, team, days)
    await tables.set_clock(end_of(day))
    await world.settle()

    read = {(one.first_day, one.last_day) for one in world.publisher.windows()}

    assert read == {(day - 7 * DAY, day), (oldest + DAY, oldest + DAY)}
    assert [one.code for one in world.publisher.failures()] == [Code.OUT_OF_RANGE]


@every_edge
@pytest.mark.parametrize(("read", "is_unread"), [(-SECOND, True), (-INSTANT, True), (0 * DAY, False), (SECOND, False)])
async def test_a_day_read_before_its_end_is_read_again_at_seven_in_the_morning(
    world: World, tables: Tables, day: date, read: timedelta, *, is_unread: bool
) -> None:
    team = await connected(world, day)
    await confirmed(world, team, day, end_of(day) + read)
    await tables.set_clock(end_of(day) + 7 * HOUR - INSTANT)
    assert await healed(world) == []

    await tables.set_clock(end_of(day) + 7 * HOUR)

    assert await healed(world) == ([(day, day)] if is_unread else [])


@every_edge
async def test_a_day_is_read_once_more_when_its_seven_days_are_over(world: World, tables: Tables, day: date) -> None:
    team, settles = await connected(world, day), end_of(day) + 7 * DAY
    for number in range(8):
        await confirmed(world, team, day + number * DAY, settles - INSTANT)
    for number in range(1, 8):  # of the days after it nothing is to be said here
        await confirmed(world, team, day + number * DAY, settles + 30 * DAY)
    await tables.set_clock(settles - INSTANT)
    assert await healed(world) == []

    await tables.set_clock(settles)

    assert await healed(world) == [(day, day)]


# a clock that steps


@every_edge
async def test_readings_stay_in_order_when_the_clock_steps_back_over_midnight(
    world: World, tables: Tables, day: date
) -> None:
    team = await connected(world, day)
    for at in (end_of(day) + HOUR / 2, end_of(day) - HOUR / 2, end_of(day) + HOUR / 2):
        await tables.set_clock(at)
        await ask(world, tables, team)
        await world.settle()

    observed = [one.observed_at for one in world.publisher.windows()]

    assert observed == sorted(set(observed))
    assert len(observed) == 3


async def test_what_waited_when_the_clock_stepped_back_is_read_at_the_healers_next_look(
    world: World, tables: Tables
) -> None:
    day = date(2028, 2, 29)
    waiting, failing, held = [await connected(world, day) for _ in range(3)]
    await tables.set_clock(end_of(day) - 6 * HOUR)
    await ask(world, tables, failing)
    world.xai.answers.append(CallTransient(Code.XAI_UNAVAILABLE))
    await world.settle()
    await ask(world, tables, held)
    assert await world.worker()._claim() is not None  # noqa: SLF001 - of a process that dies with it
    await ask(world, tables, waiting)

    await tables.pass_time(-HOUR)
    await world.healer.round()
    await tables.pass_time(timedelta(seconds=21))
    await world.settle()

    assert {one.integration_id for one in world.publisher.windows()} == {waiting, failing, held}


async def test_a_step_back_never_shortens_what_xai_asked_to_wait(world: World, tables: Tables) -> None:
    team = await connected(world, date(2028, 2, 29))
    await tables.set_clock(end_of(date(2028, 2, 29)) - 6 * HOUR)
    await ask(world, tables, team)
    world.xai.answers.append(CallTransient(Code.RATE_LIMITED, 600))
    await world.settle()

    await tables.pass_time(-HOUR)
    await world.healer.round()
    await world.settle()

    assert len(world.xai.asked) == 1


async def test_who_lost_the_lease_by_a_step_forward_drops_the_answer_and_the_days_are_read_once(
    world: World, tables: Tables
) -> None:
    team = await connected(world, date(2028, 2, 29))
    await tables.set_clock(end_of(date(2028, 2, 29)) - 6 * HOUR)
    request_id = await ask(world, tables, team)

    async def steps() -> None:
        world.xai.meanwhile = None
        await tables.pass_time(HOUR)

    world.xai.meanwhile = steps
    await world.settle(workers=2)

    assert len(world.xai.asked) == 2
    assert [one.request_ids for one in world.publisher.windows()] == [(request_id,)]


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
async def test_a_request_of_a_machine_whose_clock_is_an_hour_off_is_taken(
    world: World, tables: Tables, ahead: timedelta
) -> None:
    team = await connected(world, date(2028, 2, 29))
    await tables.set_clock(end_of(date(2028, 2, 29)) - 6 * HOUR)
    said = await tables.now() + ahead

    await ask(world, tables, team, requested_at=said, recorded_at=said)
    await world.settle()

    assert len(world.publisher.windows()) == 1


async def test_a_request_from_beyond_an_hour_ahead_is_malformed(world: World, tables: Tables) -> None:
    team = await connected(world, date(2028, 2, 29))

    with pytest.raises(MalformedError, match="more than an hour ahead"):
        await ask(world, tables, team, requested_at=await tables.now() + HOUR + SECOND)
