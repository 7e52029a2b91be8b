"""The rules of the ledger: when a window adds up, and what is known of a day. Pure: no I/O, no clock, no framework."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

PROVISIONAL_FOR = timedelta(days=7)
MAX_DAYS = 400
"""Of an answer."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger holds of a day."""

    usd: Decimal
    reading_id: UUID
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """What a reading claims of its days; a day of the range without a total was not read."""

    first_day: date
    last_day: date
    reading_id: UUID
    observed_at: datetime
    totals: Mapping[date, Decimal]


@dataclass(frozen=True, slots=True)
class Expectation:
    """Which days an integration is expected to cover: from `first` to the day before its removal."""

    integration_id: UUID
    first: date
    removed_at: datetime | None
    """UTC, as the next one."""
    added_at: datetime


def days_of(first: date, last: date) -> Iterator[date]:
    """Every day, both included."""
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def is_range(first: date, last: date) -> bool:
    """Whether there are days from `first` to `last`, both included, and at most MAX_DAYS."""
    return 0 <= (last - first).days < MAX_DAYS


def ends_at(day: date) -> datetime:
    """The instant at which a UTC day is over."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def unreconciled(window: Window, standing: Mapping[date, Standing]) -> tuple[date, ...]:
    """The days for which the ledger holds neither this reading, with its sum, nor a newer one."""
    return tuple(
        day for day in days_of(window.first_day, window.last_day) if not _adds_up(day, window, standing.get(day))
    )


def _adds_up(day: date, window: Window, standing: Standing | None) -> bool:
    if standing is None or day not in window.totals:
        return False
    if standing.reading_id == window.reading_id:
        return standing.usd == window.totals[day]
    return standing.observed_at > window.observed_at


def is_provisional(day: date, observed_at: datetime) -> bool:
    """Whether the day may still change: read less than 7 days after its end."""
    return observed_at < ends_at(day) + PROVISIONAL_FOR


def is_read(day: date, observed_at: datetime, today: date) -> bool:
    """Whether a reading covers the day: it was made after the day's end; today, any."""
    return day == today or observed_at >= ends_at(day)


def is_expected(expectation: Expectation, day: date, at: datetime) -> bool:
    """Whether the integration is expected to cover the day, as it stands at `at`: a later removal does not count yet."""
    removed_at = expectation.removed_at
    gone = removed_at is not None and removed_at <= at and removed_at.date() <= day
    return expectation.added_at <= at and expectation.first <= day and not gone
