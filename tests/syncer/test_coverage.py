"""Coverage is what the ledger confirmed; a day that should be read again is found, whatever the reason."""

import random
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from contract.cloudevents import Event
from contract.fields import Trigger
from contract.messages import SyncCompleted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from syncer import coverage, store
from syncer.coverage import UnreadDays
from syncer.domain import Days, Heal, readable

from tests.support.messages import sync_completed
from tests.syncer.support.syncer import SyncerHarness

AT = datetime(2026, 11, 20, 7, 0, tzinfo=UTC)
YESTERDAY = date(2026, 11, 19)


@pytest.fixture
async def integration_id(syncer: SyncerHarness) -> UUID:
    """Expected to cover yesterday only."""
    return await _expected_from(syncer, YESTERDAY)


async def test_a_day_that_was_never_read_is_missing_from_seven_in_the_morning(
    syncer: SyncerHarness, integration_id: UUID
) -> None:
    assert await _missing(syncer, AT - timedelta(microseconds=1)) == []
    assert await _missing(syncer) == [(integration_id, YESTERDAY, 0)]


async def test_today_is_not_missing_for_it_is_not_over(syncer: SyncerHarness) -> None:
    await _expected_from(syncer, AT.date())

    assert await _missing(syncer, AT + timedelta(hours=16)) == []


async def test_a_day_is_read_once_more_when_a_week_has_passed_for_xais_data_are_late(
    syncer: SyncerHarness, integration_id: UUID
) -> None:
    week_later = _end(YESTERDAY) + timedelta(days=7)
    await _confirm(syncer, integration_id, YESTERDAY, week_later - timedelta(seconds=1))
    assert await _missing(syncer, week_later - timedelta(seconds=1), only=YESTERDAY) == []
    assert await _missing(syncer, week_later, only=YESTERDAY) == [(integration_id, YESTERDAY, 0)]

    await _confirm(syncer, integration_id, YESTERDAY, week_later)

    assert await _missing(syncer, week_later, only=YESTERDAY) == []


async def test_a_day_that_did_not_reconcile_is_missing_until_a_newer_reading_is_confirmed(
    syncer: SyncerHarness, integration_id: UUID
) -> None:
    read = _end(YESTERDAY) + timedelta(minutes=1)
    await _confirm(syncer, integration_id, YESTERDAY, read)
    await _doubt(syncer, integration_id, YESTERDAY, read + timedelta(minutes=1))
    assert await _missing(syncer, _end(YESTERDAY) + timedelta(hours=1)) == [(integration_id, YESTERDAY, 0)]

    await _confirm(syncer, integration_id, YESTERDAY, read + timedelta(minutes=2))

    assert await _missing(syncer) == []


async def test_a_window_that_is_reconciled_again_and_then_adds_up_is_not_missing(
    syncer: SyncerHarness, integration_id: UUID
) -> None:
    read = _end(YESTERDAY) + timedelta(minutes=1)
    await _doubt(syncer, integration_id, YESTERDAY, read)

    await _confirm(syncer, integration_id, YESTERDAY, read)

    assert await _missing(syncer) == []


async def test_nothing_is_expected_before_history_begins_nor_before_the_readable_days(syncer: SyncerHarness) -> None:
    await _expected_from(syncer, date(2020, 1, 1))

    days = [day for _, day, _ in await _missing(syncer)]

    assert days == [AT.date() - timedelta(days=n) for n in range(89, 0, -1)]


async def test_the_number_of_readable_days_is_one_rule(syncer: SyncerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contract.rules.READABLE_DAYS", 30)
    await _expected_from(syncer, date(2020, 1, 1))

    first = AT.date() - timedelta(days=29)

    assert (await _missing(syncer))[0][1] == first
    assert readable(Days(date(2020, 1, 1), AT.date()), AT.date()) == Days(first, AT.date())
    async with syncer.database.transaction() as connection:
        assert await coverage.unread(connection, AT) == UnreadDays(29, 1, first)


async def test_refused_and_removed_integrations_miss_nothing(syncer: SyncerHarness, integration_id: UUID) -> None:
    await syncer.sql("UPDATE integrations SET refused_code = 'key_refused', refused_since = now()")
    assert await _missing(syncer) == []

    await syncer.sql("UPDATE integrations SET refused_code = NULL, refused_since = NULL")
    await syncer.remove(integration_id)

    assert await _missing(syncer) == []


async def test_days_of_an_open_window_are_passed_over(syncer: SyncerHarness, integration_id: UUID) -> None:
    await syncer.ask(integration_id, Trigger.DAILY, Days(YESTERDAY, YESTERDAY))
    assert await _missing(syncer) == []

    await syncer.sql("UPDATE windows SET closed_at = now()")

    assert await _missing(syncer) == [(integration_id, YESTERDAY, 0)]


async def test_days_that_were_published_are_passed_over_for_six_hours(
    syncer: SyncerHarness, integration_id: UUID
) -> None:
    published = AT - timedelta(minutes=30)
    await syncer.sql(
        "INSERT INTO coverage (integration_id, day, published_at) VALUES (:id, :day, :at)",
        id=integration_id,
        day=YESTERDAY,
        at=published,
    )

    assert await _missing(syncer, published + timedelta(hours=6, microseconds=-1)) == []
    assert await _missing(syncer, published + timedelta(hours=6)) == [(integration_id, YESTERDAY, 0)]


async def test_a_day_that_is_being_healed_waits_for_its_pause(syncer: SyncerHarness, integration_id: UUID) -> None:
    await _healed(syncer, integration_id, attempt=3)

    assert await _missing(syncer, AT + timedelta(minutes=3, seconds=59)) == []
    assert await _missing(syncer, AT + timedelta(minutes=4)) == [(integration_id, YESTERDAY, 3)]


async def test_a_confirmation_resets_the_attempts(syncer: SyncerHarness, integration_id: UUID) -> None:
    await _healed(syncer, integration_id, attempt=9)

    await _confirm(syncer, integration_id, YESTERDAY, _end(YESTERDAY) - timedelta(hours=1))

    assert await _missing(syncer) == [(integration_id, YESTERDAY, 0)]


async def test_the_order_and_number_of_confirmations_change_nothing(syncer: SyncerHarness) -> None:
    outcomes = [_completed(UUID(int=5), YESTERDAY, _end(YESTERDAY) + timedelta(hours=n)) for n in range(4)]
    outcomes += [
        _completed(UUID(int=5), YESTERDAY, _end(YESTERDAY) + timedelta(hours=n), doubtful=[YESTERDAY]) for n in (1, 7)
    ]
    found = set()
    for seed in range(6):
        shuffled = [Event(one, "any", AT) for one in random.Random(seed).sample(outcomes * 2, 12)]
        for first, last in pairwise(sorted({0, seed, 2 * seed, 12})):  # one by one, together, and something of both
            await syncer.handlers.sync_outcomes(shuffled[first:last])
        (row,) = await syncer.sql("SELECT day, confirmed_at, unreconciled_at FROM coverage")
        found.add(tuple(row))
        await syncer.sql("TRUNCATE coverage")

    assert found == {(YESTERDAY, _end(YESTERDAY) + timedelta(hours=3), _end(YESTERDAY) + timedelta(hours=7))}


async def test_a_finished_day_is_late_from_its_end_until_it_is_covered(
    syncer: SyncerHarness, integration_id: UUID
) -> None:
    await syncer.sql("UPDATE integrations SET added_at = '2026-11-01T00:00:00Z'")
    assert await _state(syncer) == (_end(YESTERDAY), 0)

    await syncer.sql("UPDATE integrations SET added_at = '2026-11-20T05:00:00Z'")
    assert await _state(syncer) == (datetime(2026, 11, 20, 5, tzinfo=UTC), 0)

    await _confirm(syncer, integration_id, YESTERDAY, _end(YESTERDAY))
    assert await _state(syncer) == (None, 0)


async def test_a_day_that_waits_for_the_customer_or_for_xai_is_not_late(
    syncer: SyncerHarness, integration_id: UUID
) -> None:
    await syncer.sql("UPDATE integrations SET refused_code = 'key_refused', refused_since = now()")
    assert await _state(syncer) == (None, 0)

    await syncer.sql("UPDATE integrations SET refused_code = NULL, refused_since = NULL")
    await syncer.remove(integration_id)
    assert await _state(syncer) == (None, 0)


async def test_a_day_that_did_not_reconcile_is_counted_until_a_newer_reading_is_confirmed(
    syncer: SyncerHarness, integration_id: UUID
) -> None:
    read = _end(YESTERDAY) + timedelta(minutes=1)
    await _confirm(syncer, integration_id, YESTERDAY, read)
    await _doubt(syncer, integration_id, YESTERDAY, read + timedelta(minutes=1))
    assert await _state(syncer) == (None, 1)

    await _confirm(syncer, integration_id, YESTERDAY, read + timedelta(minutes=2))
    assert await _state(syncer) == (None, 0)


hours = st.none() | st.integers(-30, 400)
"""Hours from the end of the day, or never."""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.dictionaries(st.integers(0, 14), st.tuples(hours, hours), max_size=12))
async def test_a_look_finds_what_a_look_at_each_day_would(
    syncer: SyncerHarness, integration_id: UUID, rows: dict[int, tuple[int | None, int | None]]
) -> None:
    first = YESTERDAY - timedelta(days=11)
    await syncer.sql("TRUNCATE coverage")
    await syncer.sql("UPDATE integrations SET history_from = :first, added_at = '2026-01-01T00:00:00Z'", first=first)
    days = [first + timedelta(days=number) for number in range(12)]
    confirmed, doubted = dict[date, datetime](), dict[date, datetime]()
    for number, (confirmed_after, doubted_after) in rows.items():
        day = first + timedelta(days=number - 1)  # also days before and after those that are expected
        for after, known in ((confirmed_after, confirmed), (doubted_after, doubted)):
            if after is not None:
                known[day] = _end(day) + timedelta(hours=after)
        await syncer.sql(
            "INSERT INTO coverage (integration_id, day, confirmed_at, unreconciled_at) VALUES (:id, :day, :one, :other)",
            id=integration_id,
            day=day,
            one=confirmed.get(day),
            other=doubted.get(day),
        )

    never = datetime.min.replace(tzinfo=UTC)
    late = [_end(day) for day in days if confirmed.get(day, never) < _end(day)]
    unreconciled = [day for day in days if doubted.get(day, never) > confirmed.get(day, never)]
    assert await _state(syncer) == (min(late, default=None), len(unreconciled))
    assert len(await _missing(syncer)) >= len({*late, *map(_end, unreconciled)})


async def test_days_that_may_have_to_be_read_are_found_by_an_index_of_their_own(syncer: SyncerHarness) -> None:
    async with syncer.database.transaction() as connection:
        await connection.execute(text("SELECT set_config('enable_seqscan', 'off', true)"))
        plan = await connection.execute(text(f"EXPLAIN SELECT FROM coverage c WHERE {coverage.OPEN}"))

        assert "coverage_open" in "".join(plan.scalars())


async def _state(syncer: SyncerHarness) -> tuple[datetime | None, int]:
    """Since when a day is late, and how many are not reconciled."""
    async with syncer.database.transaction() as connection:
        look = await coverage.look(connection, AT, await store.portion(connection, None))
    return look.late_since, look.unreconciled


async def _expected_from(syncer: SyncerHarness, first: date) -> UUID:
    integration_id = await syncer.integration()
    await syncer.sql("UPDATE integrations SET history_from = :first", first=first)
    return integration_id


async def _missing(
    syncer: SyncerHarness, at: datetime = AT, *, only: date | None = None
) -> list[tuple[UUID, date, int]]:
    async with syncer.database.transaction() as connection:
        ids = await store.portion(connection, None)
        missing, look = await coverage.missing(connection, at, ids), await coverage.look(connection, at, ids)
    assert set(look.missing) == missing.keys(), "what a look finds is what is then read again"
    return [(one, day, heals) for one, days in missing.items() for day, heals in days if only in {None, day}]


async def _confirm(syncer: SyncerHarness, integration_id: UUID, day: date, observed_at: datetime) -> None:
    await syncer.handlers.sync_completed(Event(_completed(integration_id, day, observed_at), "any", AT))


async def _doubt(syncer: SyncerHarness, integration_id: UUID, day: date, observed_at: datetime) -> None:
    await syncer.handlers.sync_completed(Event(_completed(integration_id, day, observed_at, doubtful=[day]), "any", AT))


async def _healed(syncer: SyncerHarness, integration_id: UUID, attempt: int) -> None:
    async with syncer.database.transaction() as connection:
        await coverage.note_heal(connection, integration_id, Heal(Days(YESTERDAY, YESTERDAY), attempt), AT)


def _end(day: date) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(days=1)


def _completed(
    integration_id: UUID, day: date, observed_at: datetime, doubtful: list[date] | None = None
) -> SyncCompleted:
    fields = {"first_day": day, "last_day": day, "observed_at": observed_at}
    return sync_completed(integration_id, reconciled=not doubtful, unreconciled_days=doubtful or [], **fields)
