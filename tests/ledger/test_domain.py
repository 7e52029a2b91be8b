"""The rules of the ledger, also at the edges of days, months and years."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from contract.rules import SETTLED_AFTER, ends_at, is_provisional
from hypothesis import given
from hypothesis import strategies as st
from ledger.domain import (
    Expectation,
    StoredDay,
    batches_of_unique_days,
    covers,
    days_of,
    expected_days,
    unreconciled,
)

from tests.ledger.support.ledger import FIRST, later, reading_of

TEAM = UUID(int=1)
DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)
any_day = st.dates(date(2000, 1, 1), date(2100, 12, 31)) | st.sampled_from(
    [date(2027, 12, 31), date(2028, 2, 28), date(2028, 2, 29), date(2028, 12, 31), date(2100, 2, 28)]
)


@given(st.lists(st.sampled_from(["same", "newer", "older", "other sum", "absent", "cut"]), min_size=1, max_size=40))
def test_a_day_adds_up_with_this_reading_and_its_sum_or_with_a_newer_one(kinds: list[str]) -> None:
    by_day = dict(zip(days_of(FIRST, FIRST + timedelta(days=len(kinds) - 1)), kinds, strict=True))
    cut = [day for day, kind in by_day.items() if kind == "cut"]
    window = reading_of(TEAM, {day: {"a": "1"} for day in by_day if day not in cut}, cut=cut).window
    stored = {}
    for day, kind in by_day.items():
        if kind != "absent":
            reading_id = window.reading_id if kind in {"same", "other sum", "cut"} else uuid4()
            observed = later({"newer": 1, "older": -1}.get(kind, 0))
            stored[day] = StoredDay(Decimal(2 if kind == "other sum" else 1), reading_id, observed)

    missing = unreconciled(window, stored)

    assert set(missing) == {day for day, kind in by_day.items() if kind not in {"same", "newer"}}


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=12))
def test_batches_have_each_day_once_with_its_oldest_readings_first(numbers: list[tuple[int, int]]) -> None:
    days = [
        reading_of(TEAM, {FIRST + timedelta(days=day): {}}, observed_at=later(hour)).days[0] for day, hour in numbers
    ]

    batches = batches_of_unique_days(days)

    seen: dict[date, list[datetime]] = {}
    for batch in batches:
        assert len({one.day for one in batch}) == len(batch)
        for one in batch:
            seen.setdefault(one.day, []).append(one.observed_at)
    assert all(instants == sorted(instants) for instants in seen.values())
    assert sorted(one.reading_id for batch in batches for one in batch) == sorted(one.reading_id for one in days)


@given(any_day)
def test_a_day_ends_where_the_next_one_begins_and_lasts_24_hours(day: date) -> None:
    assert ends_at(day) - ends_at(day - DAY) == timedelta(hours=24)
    assert (ends_at(day) - INSTANT).date() == day
    assert ends_at(day).date() == day + DAY


@given(any_day)
def test_a_reading_of_the_last_instant_of_a_day_covers_it_only_until_midnight(day: date) -> None:
    last = ends_at(day) - INSTANT

    assert covers(day, last, today=day)
    assert not covers(day, last, today=day + DAY)
    assert covers(day, ends_at(day), today=day + DAY)


@given(any_day)
def test_a_day_may_change_until_it_is_read_after_it_has_settled(day: date) -> None:
    settles = ends_at(day) + SETTLED_AFTER

    assert is_provisional(day, settles - INSTANT)
    assert not is_provisional(day, settles)


@given(any_day, st.integers(0, 399))
def test_a_range_has_every_day_once(first: date, more: int) -> None:
    days = list(days_of(first, first + more * DAY))

    assert len(days) == len(set(days)) == more + 1
    assert days == sorted(days)


@given(any_day, st.sampled_from([-INSTANT, timedelta(0), INSTANT]))
def test_the_day_of_the_removal_is_not_expected_and_the_one_before_it_is(day: date, edge: timedelta) -> None:
    """Removed in the last instant of a day, in the first of the next, or after it."""
    removed_at = ends_at(day) + edge
    removed = Expectation(TEAM, date(1999, 1, 1), removed_at, datetime(1999, 1, 1, tzinfo=UTC))
    after = removed_at + DAY

    assert expected_days(removed, after) == (removed.first, removed_at.date() - DAY)
    assert expected_days(removed, removed_at - INSTANT) == (removed.first, date.max)
