"""At the edges of days and years, and under a clock that steps: the right days are read, none twice, none out of order."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from contract.problems import Code
from sqlalchemy import text
from syncer import coverage, store
from syncer.domain import Days
from syncer.provider import ReadTransientError

from tests.support.messages import sync_completed
from tests.support.state_machines import Tables
from tests.support.waiting import until
from tests.syncer.support.claims import claim_one
from tests.syncer.support.syncer import SyncerHarness

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
    await tables.stop_clock()
    yield tables
    await tables.close_all()


@pytest.fixture
async def syncer(tables: Tables) -> SyncerHarness:
    syncer = SyncerHarness(tables.database, tables.owner)
    await syncer.clear()
    return syncer


async def connected(syncer: SyncerHarness, first: date) -> UUID:
    """An integration with its key and nothing queued, expected to cover the days from `first`."""
    state = await syncer.state(uuid4(), history_from=first)
    async with syncer.database.pipeline() as pipeline:
        await store.save_integration(pipeline, state)
    await syncer.seal(state.integration_id)
    return state.integration_id


async def ask(syncer: SyncerHarness, tables: Tables, team: UUID, days: Days | None = None, **fields: Any) -> str:
    now = await tables.now()
    return await syncer.ask(team, days=days, **({"requested_at": now} | fields))


async def confirmed(syncer: SyncerHarness, team: UUID, day: date, at: datetime) -> None:
    async with syncer.database.pipeline() as pipeline:
        await coverage.confirm(pipeline, [sync_completed(team, first_day=day, last_day=day, observed_at=at)])


async def healed(syncer: SyncerHarness) -> list[tuple[date, date]]:
    """What the healer queues when it looks now."""
    await syncer.healer.round()
    return [
        (one.first_day, one.last_day) for one in await syncer.windows() if one.trigger == "heal" and not one.closed_at
    ]


# the edges of days, months and years


@every_edge
async def test_a_sync_in_the_last_second_of_a_day_and_one_in_the_first_of_the_next(
    syncer: SyncerHarness, tables: Tables, day: date
) -> None:
    team = await connected(syncer, day)
    await tables.set_clock(end_of(day) - SECOND)
    await ask(syncer, tables, team)
    await syncer.settle()
    await tables.set_clock(end_of(day) + SECOND)
    await ask(syncer, tables, team)
    await syncer.settle()

    before, after = syncer.readings()

    assert (before.first_day, before.last_day) == (day - 7 * DAY, day)
    assert (after.first_day, after.last_day) == (day - 6 * DAY, day + DAY)
    assert before.observed_at < end_of(day) <= after.observed_at


@every_edge
async def test_a_request_before_midnight_that_is_read_after_it_keeps_its_days(
    syncer: SyncerHarness, tables: Tables, day: date
) -> None:
    team = await connected(syncer, day)
    await tables.set_clock(end_of(day) - SECOND)
    oldest = day - 89 * DAY
    for days in (None, Days(oldest, oldest), Days(oldest, oldest + DAY)):
        await ask(syncer, tables, team, days)
    await tables.set_clock(end_of(day))
    await syncer.settle()

    read = {(one.first_day, one.last_day) for one in syncer.readings()}

    assert read == {(day - 7 * DAY, day), (oldest + DAY, oldest + DAY)}
    assert [one.code for one in syncer.failures()] == [Code.OUT_OF_RANGE]


@every_edge
@pytest.mark.parametrize(("read", "is_unread"), [(-SECOND, True), (-INSTANT, True), (0 * DAY, False), (SECOND, False)])
async def test_a_day_read_before_its_end_is_read_again_at_seven_in_the_morning(
    syncer: SyncerHarness, tables: Tables, day: date, read: timedelta, *, is_unread: bool
) -> None:
    team = await connected(syncer, day)
    await confirmed(syncer, team, day, end_of(day) + read)
    await tables.set_clock(end_of(day) + 7 * HOUR - INSTANT)
    assert await healed(syncer) == []

    await tables.set_clock(end_of(day) + 7 * HOUR)

    assert await healed(syncer) == ([(day, day)] if is_unread else [])


@every_edge
async def test_a_day_is_read_once_more_when_its_seven_days_are_over(
    syncer: SyncerHarness, tables: Tables, day: date
) -> None:
    team, settles = await connected(syncer, day), end_of(day) + 7 * DAY
    for number in range(8):
        await confirmed(syncer, team, day + number * DAY, settles - INSTANT)
    for number in range(1, 8):  # the days after it are settled
        await confirmed(syncer, team, day + number * DAY, settles + 30 * DAY)
    await tables.set_clock(settles - INSTANT)
    assert await healed(syncer) == []

    await tables.set_clock(settles)

    assert await healed(syncer) == [(day, day)]


# a clock that steps


@every_edge
async def test_readings_stay_in_order_when_the_clock_steps_back_over_midnight(
    syncer: SyncerHarness, tables: Tables, day: date
) -> None:
    team = await connected(syncer, day)
    for at in (end_of(day) + HOUR / 2, end_of(day) - HOUR / 2, end_of(day) + HOUR / 2):
        await tables.set_clock(at)
        await ask(syncer, tables, team)
        await syncer.settle()

    observed = [one.observed_at for one in syncer.readings()]

    assert observed == sorted(set(observed))
    assert len(observed) == 3


async def test_windows_that_waited_when_the_clock_stepped_back_are_read_after_the_repair(
    syncer: SyncerHarness, tables: Tables
) -> None:
    day = date(2028, 2, 29)
    waiting, failing, held = [await connected(syncer, day) for _ in range(3)]
    await tables.set_clock(end_of(day) - 6 * HOUR)
    await ask(syncer, tables, failing)
    syncer.xai.answers.append(ReadTransientError(Code.XAI_UNAVAILABLE))
    await syncer.settle()
    await ask(syncer, tables, held)
    assert await claim_one(syncer.attempt, "a process that dies") is not None
    await ask(syncer, tables, waiting)

    await tables.pass_time(-HOUR)
    await syncer.housekeeping.repair_clock_steps()
    await tables.pass_time(timedelta(seconds=21))
    await syncer.settle()

    assert {one.integration_id for one in syncer.readings()} == {waiting, failing, held}


async def test_a_step_back_never_shortens_retry_after(syncer: SyncerHarness, tables: Tables) -> None:
    team = await connected(syncer, date(2028, 2, 29))
    await tables.set_clock(end_of(date(2028, 2, 29)) - 6 * HOUR)
    await ask(syncer, tables, team)
    syncer.xai.answers.append(ReadTransientError(Code.RATE_LIMITED, 600))
    await syncer.settle()

    await tables.pass_time(-HOUR)
    await syncer.housekeeping.repair_clock_steps()
    await syncer.settle()

    assert len(syncer.xai.calls) == 1


async def test_a_lease_that_a_step_forward_expired_drops_its_answer_and_the_days_are_read_once(
    syncer: SyncerHarness, tables: Tables
) -> None:
    team = await connected(syncer, date(2028, 2, 29))
    await tables.set_clock(end_of(date(2028, 2, 29)) - 6 * HOUR)
    request_id = await ask(syncer, tables, team)

    async def steps() -> None:
        syncer.xai.meanwhile = None
        await tables.pass_time(HOUR)

    syncer.xai.meanwhile = steps
    await syncer.settle(workers=2)

    assert len(syncer.xai.calls) == 2
    assert [one.request_ids for one in syncer.readings()] == [(request_id,)]


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
async def test_a_request_from_a_clock_that_is_an_hour_off_is_accepted(
    syncer: SyncerHarness, tables: Tables, ahead: timedelta
) -> None:
    team = await connected(syncer, date(2028, 2, 29))
    await tables.set_clock(end_of(date(2028, 2, 29)) - 6 * HOUR)
    at = await tables.now() + ahead

    await ask(syncer, tables, team, requested_at=at)
    await syncer.settle()

    assert len(syncer.readings()) == 1


# what is committed while a claim looks

LOOK = 7_205_759_999
"""Advisory lock: whoever holds it alone stops the clock of a statement that has begun."""


async def test_a_request_that_joins_a_window_while_a_claim_looks_for_one_is_answered_with_it(
    syncer: SyncerHarness, tables: Tables
) -> None:
    team = await connected(syncer, date(2026, 10, 1))
    first = await ask(syncer, tables, team)
    await syncer.sql("""CREATE OR REPLACE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
        BEGIN PERFORM pg_advisory_xact_lock_shared(7205759999); RETURN (SELECT at FROM clock.current); END $$""")
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 7205759999 & 4294967295 AND NOT granted"

    async with tables.owner.transaction() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOOK})
        claiming = asyncio.create_task(claim_one(syncer.attempt, ""))
        await until(lambda: syncer.sql(waiting))
        await syncer.sql(
            """INSERT INTO requests (integration_id, request_id, trigger, first_day, last_day, window_id, received_at, status)
            SELECT integration_id, 'second', trigger, first_day, last_day, window_id, at, status FROM requests, clock.current"""
        )
    claim = await claiming
    await tables.stop_clock()

    assert claim is not None
    assert set(claim.request_ids) == {first, "second"}
