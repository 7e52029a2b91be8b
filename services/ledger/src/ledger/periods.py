"""Spans of UTC days that reports are about, and the spans that they are compared with. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from ledger.domain import days_of

WEEK = 7


class Period(StrEnum):
    """A number of days that ends today."""

    WEEK = "7d"
    MONTH = "30d"
    QUARTER = "90d"

    @property
    def days(self) -> int:
        return int(self.value.removesuffix("d"))


class Compare(StrEnum):
    """Which span a period is compared with; each has as many days as the period has finished ones."""

    PREVIOUS = "previous"
    """The days just before."""
    WEEK = "week"
    """The latest earlier days that fall on the same days of the week."""
    YEAR = "year"
    """The days that begin at the same date of the year before; 28 February for the 29th."""


@dataclass(frozen=True, slots=True)
class Span:
    """Days, both ends included."""

    first: date
    last: date

    @property
    def length(self) -> int:
        """Days; at least 1."""
        return (self.last - self.first).days + 1

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def __iter__(self) -> Iterator[date]:
        return days_of(self.first, self.last)

    def finished(self, today: date) -> "Span | None":
        """Its days that are over; None where none is."""
        last = min(self.last, today - timedelta(days=1))
        return Span(self.first, last) if last >= self.first else None

    def before(self, compare: Compare) -> "Span":
        """The span of as many days that this one is compared with."""
        first = self.first - timedelta(days=self.length)
        if compare is Compare.WEEK:
            first = self.first - timedelta(days=-(-self.length // WEEK) * WEEK)
        if compare is Compare.YEAR:
            first = _a_year_before(self.first)
        return Span(first, first + timedelta(days=self.length - 1))


def ending(today: date, period: Period) -> Span:
    """The period's days: the last one is today."""
    return Span(today - timedelta(days=period.days - 1), today)


def _a_year_before(day: date) -> date:
    try:
        return day.replace(year=day.year - 1)
    except ValueError:  # 29 February
        return day.replace(year=day.year - 1, day=28)
