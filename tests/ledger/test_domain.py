"""The rules of the ledger, without any surroundings."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st
from ledger.domain import Standing, Window, days_of, ends_at, is_provisional, unreconciled

FIRST = date(2026, 11, 1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
READING = uuid4()


def test_days_include_both_ends() -> None:
    assert list(days_of(date(2024, 2, 28), date(2024, 3, 1))) == [
        date(2024, 2, 28),
        date(2024, 2, 29),
        date(2024, 3, 1),
    ]


def test_the_year_ends_at_midnight_utc() -> None:
    assert ends_at(date(2026, 12, 31)) == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_day_read_a_week_after_its_end_is_settled() -> None:
    assert not is_provisional(FIRST, ends_at(FIRST) + timedelta(days=7))


@given(st.lists(st.sampled_from(["same", "newer", "older", "other sum", "absent", "cut"]), min_size=1, max_size=40))
def test_a_day_adds_up_with_this_reading_and_its_sum_or_with_a_newer_one(kinds: list[str]) -> None:
    standing, totals = {}, {}
    for day, kind in zip(days_of(FIRST, FIRST + timedelta(days=len(kinds) - 1)), kinds, strict=True):
        if kind != "cut":
            totals[day] = Decimal(1)
        if kind != "absent":
            reading_id = READING if kind in {"same", "other sum", "cut"} else uuid4()
            observed = NOON + timedelta(hours={"newer": 1, "older": -1}.get(kind, 0))
            standing[day] = Standing(Decimal(2 if kind == "other sum" else 1), reading_id, observed)
    window = Window(FIRST, FIRST + timedelta(days=len(kinds) - 1), READING, NOON, totals)

    missing = unreconciled(window, standing)

    assert [kinds[(day - FIRST).days] in {"same", "newer"} for day in days_of(window.first_day, window.last_day)] == [
        day not in missing for day in days_of(window.first_day, window.last_day)
    ]
