"""Coverage is what the ledger confirmed; a day that should be read again is found, whatever the reason."""

import random
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID, uuid4

import pytest
from contract.cloudevents import Event
from contract.fields import Trigger
from contract.messages import SyncCompleted, WindowRead
from syncer import coverage
from syncer.domain import Days, Heal

from tests.syncer.support.syncer import ACCOUNT, World

AT = datetime(2026, 11, 20, 7, 0, tzinfo=UTC)
YESTERDAY = date(2026, 11, 19)


@pytest.fixture
async def integration_id(world: World) -> UUID:
    """Expected to cover yesterday only."""
    return await _expected_from(world, YESTERDAY)


async def test_a_day_that_was_never_read_is_missing_from_seven_in_the_morning(
    world: World, integration_id: UUID
) -> None:
    assert await _missing(world, AT - timedelta(microseconds=1)) == []
    assert await _missing(world) == [(integration_id, YESTERDAY, 0)]


async def test_a_day_last_read_before_it_ended_is_missing(world: World, integration_id: UUID) -> None:
    await _confirm(world, integration_id, YESTERDAY, _end(YESTERDAY) - timedelta(seconds=1))

    assert await _missing(world) == [(integration_id, YESTERDAY, 0)]


async def test_a_day_read_after_it_ended_is_not_missing(world: World, integration_id: UUID) -> None:
    await _confirm(world, integration_id, YESTERDAY, _end(YESTERDAY))

    assert await _missing(world) == []


async def test_today_is_not_missing_for_it_is_not_over(world: World) -> None:
    await _expected_from(world, AT.date())

    assert await _missing(world, AT + timedelta(hours=16)) == []


async def test_a_day_is_read_once_more_when_a_week_has_passed_for_xais_data_come_late(
    world: World, integration_id: UUID
) -> None:
    week_later = _end(YESTERDAY) + timedelta(days=7)
    await _confirm(world, integration_id, YESTERDAY, week_later - timedelta(seconds=1))
    assert await _missing(world, week_later - timedelta(seconds=1), only=YESTERDAY) == []
    assert await _missing(world, week_later, only=YESTERDAY) == [(integration_id, YESTERDAY, 0)]

    await _confirm(world, integration_id, YESTERDAY, week_later)

    assert await _missing(world, week_later, only=YESTERDAY) == []


async def test_a_day_that_did_not_reconcile_is_missing_until_a_newer_reading_is_confirmed(
    world: World, integration_id: UUID
) -> None:
    read = _end(YESTERDAY) + timedelta(minutes=1)
    await _confirm(world, integration_id, YESTERDAY, read)
    await _doubt(world, integration_id, YESTERDAY, read + timedelta(minutes=1))
    assert await _missing(world, _end(YESTERDAY) + timedelta(hours=1)) == [(integration_id, YESTERDAY, 0)]

    await _confirm(world, integration_id, YESTERDAY, read + timedelta(minutes=2))

    assert await _missing(world) == []


async def test_a_window_that_is_judged_again_and_then_adds_up_is_not_missing(
    world: World, integration_id: UUID
) -> None:
    read = _end(YESTERDAY) + timedelta(minutes=1)
    await _doubt(world, integration_id, YESTERDAY, read)

    await _confirm(world, integration_id, YESTERDAY, read)

    assert await _missing(world) == []


async def test_nothing_is_expected_before_history_begins_nor_beyond_what_xai_tells(world: World) -> None:
    await _expected_from(world, date(2020, 1, 1))

    days = [day for _, day, _ in await _missing(world)]

    assert days == [AT.date() - timedelta(days=n) for n in range(89, 0, -1)]


async def test_refused_and_removed_integrations_are_left_alone(world: World, integration_id: UUID) -> None:
    await world.sql("UPDATE integrations SET refused_code = 'key_refused', refused_since = now()")
    assert await _missing(world) == []

    await world.sql("UPDATE integrations SET refused_code = NULL, refused_since = NULL")
    await world.remove(integration_id)

    assert await _missing(world) == []


async def test_days_of_an_open_window_are_passed_over(world: World, integration_id: UUID) -> None:
    await world.ask(integration_id, Trigger.DAILY, Days(YESTERDAY, YESTERDAY))
    assert await _missing(world) == []

    await world.sql("UPDATE windows SET closed_at = now()")

    assert await _missing(world) == [(integration_id, YESTERDAY, 0)]


async def test_days_on_their_way_to_the_ledger_are_passed_over_for_six_hours(
    world: World, integration_id: UUID
) -> None:
    published = AT - timedelta(minutes=30)
    async with world.database.transaction() as connection:
        await coverage.note_published(connection, _window(integration_id, YESTERDAY, published))

    assert await _missing(world, published + timedelta(hours=6, microseconds=-1)) == []
    assert await _missing(world, published + timedelta(hours=6)) == [(integration_id, YESTERDAY, 0)]


async def test_a_day_that_is_being_healed_waits_for_its_pause(world: World, integration_id: UUID) -> None:
    await _healed(world, integration_id, attempt=3)

    assert await _missing(world, AT + timedelta(minutes=3, seconds=59)) == []
    assert await _missing(world, AT + timedelta(minutes=4)) == [(integration_id, YESTERDAY, 3)]


async def test_a_confirmation_resets_the_attempts(world: World, integration_id: UUID) -> None:
    await _healed(world, integration_id, attempt=9)

    await _confirm(world, integration_id, YESTERDAY, _end(YESTERDAY) - timedelta(hours=1))

    assert await _missing(world) == [(integration_id, YESTERDAY, 0)]


async def test_confirmations_of_any_order_and_number_say_the_same(world: World) -> None:
    outcomes = [_completed(UUID(int=5), YESTERDAY, _end(YESTERDAY) + timedelta(hours=n)) for n in range(4)]
    outcomes += [
        _completed(UUID(int=5), YESTERDAY, _end(YESTERDAY) + timedelta(hours=n), doubtful=[YESTERDAY]) for n in (1, 7)
    ]
    found = set()
    for seed in range(6):
        shuffled = random.Random(seed).sample(outcomes * 2, 12)
        for one in shuffled:
            await world.handlers.sync_completed(Event(one, "any", AT))
        (row,) = await world.sql("SELECT day, confirmed_at, unreconciled_at FROM coverage")
        found.add(tuple(row))
        await world.sql("TRUNCATE coverage")

    assert found == {(YESTERDAY, _end(YESTERDAY) + timedelta(hours=3), _end(YESTERDAY) + timedelta(hours=7))}


async def _expected_from(world: World, first: date) -> UUID:
    integration_id = await world.integration()
    await world.sql("UPDATE integrations SET history_from = :first", first=first)
    return integration_id


async def _missing(world: World, at: datetime = AT, *, only: date | None = None) -> list[tuple[UUID, date, int]]:
    async with world.database.transaction() as connection:
        missing = await coverage.missing(connection, at)
    return [(one, day, heals) for one, days in missing.items() for day, heals in days if only in {None, day}]


async def _confirm(world: World, integration_id: UUID, day: date, observed_at: datetime) -> None:
    await world.handlers.sync_completed(Event(_completed(integration_id, day, observed_at), "any", AT))


async def _doubt(world: World, integration_id: UUID, day: date, observed_at: datetime) -> None:
    await world.handlers.sync_completed(Event(_completed(integration_id, day, observed_at, doubtful=[day]), "any", AT))


async def _healed(world: World, integration_id: UUID, attempt: int) -> None:
    async with world.database.transaction() as connection:
        await coverage.note_heal(connection, integration_id, Heal(Days(YESTERDAY, YESTERDAY), attempt), AT)


def _end(day: date) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(days=1)


def _window(integration_id: UUID, day: date, observed_at: datetime) -> WindowRead:
    fields = _completed(integration_id, day, observed_at).model_dump()
    return WindowRead.model_validate(fields | {"totals": {day: "1"}})


def _completed(
    integration_id: UUID, day: date, observed_at: datetime, doubtful: list[date] | None = None
) -> SyncCompleted:
    return SyncCompleted.model_validate(
        {
            "account_id": ACCOUNT,
            "integration_id": integration_id,
            "first_day": day,
            "last_day": day,
            "trigger": "daily",
            "request_ids": ["any"],
            "reading_id": uuid4(),
            "observed_at": observed_at,
            "credential_version": 1,
            "usd": "1",
            "days_changed": 0,
            "reconciled": not doubtful,
            "unreconciled_days": doubtful or [],
        }
    )
