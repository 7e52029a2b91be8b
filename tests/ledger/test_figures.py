"""What follows from what is known of each day."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from ledger.figures import Change, DayFigure, change, change_of, daily_average, days_in, known, ratio
from ledger.periods import Span

FIRST = date(2026, 11, 1)


def _days(*amounts: str | None) -> list[DayFigure]:
    """A day for each amount; None: it was not read."""
    return [
        DayFigure(FIRST + timedelta(days=number), Decimal(usd) if usd else None, 1, int(usd is not None))
        for number, usd in enumerate(amounts)
    ]


def test_what_is_known_is_added_exactly_and_nothing_is_not_zero() -> None:
    assert known(_days("1.0000000001", None, "2")) == Decimal("3.0000000001")
    assert known(_days("0")) == 0
    assert known(_days(None, None)) is None


def test_the_average_leaves_out_days_that_were_not_read() -> None:
    assert daily_average(_days("1", None, "2")) == Decimal("1.5")
    assert daily_average(_days(None)) is None


def test_the_average_is_the_nearest_tick() -> None:
    assert daily_average(_days("1", "0", "0")) == Decimal("0.3333333333")
    assert daily_average(_days("0.0000000001", "0")) == 0


def test_a_day_that_only_some_integrations_have_is_not_covered() -> None:
    half = DayFigure(FIRST, Decimal(1), expected=2, read=1)

    assert not half.covered
    assert daily_average([half]) is None
    assert not DayFigure(FIRST, Decimal(1), expected=0, read=0).covered


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        (_days("3", "3"), _days("2", "2"), Change(Decimal("0.5"), None)),
        (_days("0", "0"), _days("2", "2"), Change(Decimal(-1), None)),
        (_days("1", "0"), _days("2", "1"), Change(Decimal("-0.6667"), None)),
        (_days("1", None), _days("2", "2"), Change(None, "1 day of this period was not read.")),
        (_days("1", "1"), _days(None, None), Change(None, "2 days of the period before were not read.")),
        (_days("1"), _days("0"), Change(None, "The period before cost nothing.")),
        (_days("1"), _days("-1"), Change(None, "The period before cost nothing.")),
        ([], _days("1"), Change(None, "No day of this period is over.")),
    ],
)
def test_a_change_is_given_only_between_days_that_were_read(
    now: list[DayFigure], before: list[DayFigure], expected: Change
) -> None:
    assert change(now, before) == expected


def test_what_cost_nothing_before_has_no_change() -> None:
    assert change_of(Decimal(3), Decimal(2)) == Decimal("0.5")
    assert change_of(Decimal(3), Decimal(0)) is None


def test_a_share_has_four_places() -> None:
    assert ratio(Decimal(1), Decimal(3)) == Decimal("0.3333")
    assert ratio(Decimal("999999999999999.0000000001"), Decimal("999999999999999.0000000001")) == 1


def test_a_day_without_a_figure_is_not_expected() -> None:
    (day,) = days_in(Span(FIRST, FIRST), {})

    assert (day.expected, day.covered, day.usd) == (0, False, None)
    assert days_in(None, {}) == []
