"""Which days a report is about, and which ones they are compared with."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger.periods import Compare, Period, Span, ending

TODAY = date(2026, 11, 20)
SPANS = st.builds(
    lambda first, length: Span(first, first + timedelta(days=length)),
    st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    st.integers(0, 399),
)


@pytest.mark.parametrize(("period", "first"), [("7d", "2026-11-14"), ("30d", "2026-10-22"), ("90d", "2026-08-23")])
def test_a_period_ends_today(period: str, first: str) -> None:
    assert ending(TODAY, Period(period)) == Span(date.fromisoformat(first), TODAY)


@given(SPANS, st.sampled_from(Compare))
def test_the_span_before_is_earlier_and_as_long(span: Span, compare: Compare) -> None:
    before = span.before(compare)

    assert before.length == span.length
    assert before.first < span.first


@given(SPANS)
def test_the_days_just_before_end_where_the_period_begins(span: Span) -> None:
    assert span.before(Compare.PREVIOUS).last == span.first - timedelta(days=1)


@given(SPANS)
def test_the_same_days_of_the_week_do_not_overlap_the_period(span: Span) -> None:
    before = span.before(Compare.WEEK)

    assert before.first.weekday() == span.first.weekday()
    assert span.first - timedelta(days=7) <= before.last < span.first


def test_the_year_before_begins_at_the_same_date() -> None:
    assert Span(TODAY, TODAY).before(Compare.YEAR).first == date(2025, 11, 20)
    assert Span(date(2028, 2, 29), date(2028, 3, 1)).before(Compare.YEAR) == Span(date(2027, 2, 28), date(2027, 3, 1))


def test_today_is_not_over() -> None:
    assert Span(TODAY - timedelta(days=6), TODAY).finished(TODAY) == Span(date(2026, 11, 14), date(2026, 11, 19))
    assert Span(TODAY, TODAY).finished(TODAY) is None
