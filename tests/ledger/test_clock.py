"""At the edges of days, months and years: what is covered, what may still change, and which days are shown."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from ledger.domain import Expectation, days_of, ends_at, is_expected, is_provisional, is_read

DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)
any_day = st.dates(date(2000, 1, 1), date(2100, 12, 31)) | st.sampled_from(
    [date(2027, 12, 31), date(2028, 2, 28), date(2028, 2, 29), date(2028, 12, 31), date(2100, 2, 28)]
)


@given(any_day)
def test_a_day_ends_where_the_next_one_begins_and_lasts_24_hours(day: date) -> None:
    assert ends_at(day) - ends_at(day - DAY) == timedelta(hours=24)
    assert (ends_at(day) - INSTANT).date() == day
    assert ends_at(day).date() == day + DAY


@given(any_day)
def test_a_reading_of_the_last_instant_of_a_day_covers_it_only_until_midnight(day: date) -> None:
    last = ends_at(day) - INSTANT

    assert is_read(day, last, today=day)
    assert not is_read(day, last, today=day + DAY)
    assert is_read(day, ends_at(day), today=day + DAY)


@given(any_day)
def test_a_day_may_change_until_it_is_read_seven_days_after_its_end(day: date) -> None:
    settles = ends_at(day + 7 * DAY)

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
    gone = Expectation(UUID(int=1), date(1999, 1, 1), removed_at, datetime(1999, 1, 1, tzinfo=UTC))
    later = removed_at + DAY

    assert not is_expected(gone, removed_at.date(), later)
    assert is_expected(gone, removed_at.date() - DAY, later)
    assert is_expected(gone, removed_at.date(), removed_at - INSTANT)
