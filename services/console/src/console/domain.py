"""What a page shows, read from its address and written into it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any, Self, TypeVar
from urllib.parse import urlencode
from uuid import UUID


class Chart(StrEnum):
    """How the days are drawn."""

    BAR = "bar"
    AREA = "area"
    CUMULATIVE = "cumulative"


class Compare(StrEnum):
    """What a period is compared with."""

    PREVIOUS = "previous"
    WEEK = "week"
    YEAR = "year"


PERIODS = {"7d": 7, "30d": 30, "90d": 90}
"""Days that end today."""
DEFAULT = "30d"
LONGEST = 366
"""Days of a range."""


T = TypeVar("T", bound=StrEnum)


class ViewError(ValueError):
    """An address asks for something that no page can show; the message names it."""


@dataclass(frozen=True, slots=True)
class View:
    """Which days of which integration, and how: the whole state of a page."""

    period: str | None = DEFAULT
    """One of PERIODS; None: `first` to `last`."""
    first: date | None = None
    last: date | None = None
    integration: UUID | None = None
    """None: all."""
    compare: Compare = Compare.PREVIOUS
    chart: Chart = Chart.BAR

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """From a query string, in which all is optional; raises ViewError."""
        first, last = (_day(query.get(name, "")) for name in ("from", "to"))
        if (first is None) != (last is None) or (first and last and not 0 <= (last - first).days < LONGEST):
            raise ViewError(f"A range needs its first and its last day, in this order, and at most {LONGEST} days.")
        period = query.get("period") or DEFAULT
        if period not in PERIODS:
            raise ViewError(f"The periods are {', '.join(PERIODS)}.")
        return cls(
            period if first is None else None,
            first,
            last,
            _integration(query.get("integration", "")),
            _one_of(Compare, query.get("compare")),
            _one_of(Chart, query.get("chart")),
        )

    def to(self, **changes: Any) -> Self:  # noqa: ANN401 - a value of any field
        """The same with other values; a period replaces a range, and the other way round."""
        if "period" in changes:
            changes |= {"first": None, "last": None}
        elif "first" in changes:
            changes["period"] = None
        return replace(self, **changes)

    @property
    def query(self) -> str:
        """For an address: `?…`, or nothing where all is as by default."""
        values = {
            "period": self.period if self.period != DEFAULT else None,
            "from": self.first,
            "to": self.last,
            "integration": self.integration,
            "compare": self.compare.value if self.compare is not Compare.PREVIOUS else None,
            "chart": self.chart.value if self.chart is not Chart.BAR else None,
        }
        kept = {name: str(value) for name, value in values.items() if value is not None}
        return f"?{urlencode(kept)}" if kept else ""

    @property
    def days(self) -> dict[str, str | None]:
        """The parameters of a ledger's report that say which days and integration."""
        return {
            "period": self.period,
            "from": str(self.first) if self.first else None,
            "to": str(self.last) if self.last else None,
            "integration_id": str(self.integration) if self.integration else None,
        }


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ViewError("A day is written as in 2026-11-28.") from None


def _integration(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise ViewError("There is no such integration.") from None


def _one_of(kind: type[T], text: str | None) -> T:
    try:
        return kind(text) if text else next(iter(kind))
    except ValueError:
        raise ViewError(f"The choices are {', '.join(kind)}.") from None
