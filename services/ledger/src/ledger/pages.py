"""Pages of an answer about days: they are cut between days, and a cursor names the days that are left. Pure."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self

from contract.problems import Code, ProblemError

from ledger.domain import MAX_DAYS, is_range

DEFAULT_DAYS = 30
CURSOR = r"^2\d{3}-\d{2}-\d{2}\.2\d{3}-\d{2}-\d{2}$"


@dataclass(frozen=True, slots=True)
class Page:
    """The days of one page, and the last day of all pages."""

    first: date
    last: date
    end: date

    @classmethod
    def of(cls, first: date | None, last: date | None, cursor: str | None, today: date) -> Self:
        """All days that were requested, by default the last 30; raises ProblemError where these are none."""
        start, end = _resume(cursor, first, last) if cursor else _range(first, last, today)
        return cls(start, end, end)

    def limited(self, days: int | None) -> "Page":
        """The first `days` of them; None: all."""
        last = min(self.last, self.first + timedelta(days=days - 1)) if days else self.last
        return Page(self.first, last, self.end)

    @property
    def next_cursor(self) -> str | None:
        return f"{self.last + timedelta(days=1)}.{self.end}" if self.last < self.end else None


def _range(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    last = last or max(today, first or today)
    first = first or last - timedelta(days=DEFAULT_DAYS - 1)
    if not is_range(first, last):
        raise ProblemError(
            Code.REQUEST_MALFORMED, f"from must not be after to, and a request covers at most {MAX_DAYS} days."
        )
    return first, last


def _resume(cursor: str, first: date | None, last: date | None) -> tuple[date, date]:
    """The days that a cursor names; `first` and `last` may be those of the first page."""
    try:
        start, end = (date.fromisoformat(day) for day in cursor.split("."))
    except ValueError:
        start, end = date.max, date.min
    if not is_range(start, end) or (first or start) > start or (last or end) != end:
        raise ProblemError(Code.REQUEST_MALFORMED, "cursor must be the next_cursor of a page of the same days.")
    return start, end
