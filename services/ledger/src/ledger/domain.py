"""The rules of the ledger: which days reconcile, and what is known of a day. Pure: no I/O, no clock, no framework."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import count
from operator import attrgetter
from uuid import UUID

from contract.messages import CostRecorded, WindowRead
from contract.rules import ends_at

MAX_DAYS = 400
"""Days that one request can cover."""


@dataclass(frozen=True, slots=True)
class StoredDay:
    """A day of an integration in the ledger."""

    usd: Decimal
    reading_id: UUID
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class Expectation:
    """Which days an integration is expected to cover: from `first` to the day before its removal."""

    integration_id: UUID
    first: date
    removed_at: datetime | None
    """UTC, like `added_at`."""
    added_at: datetime
    is_duplicate: bool = False
    """A second integration of a team that the account has: its costs are not the account's."""


def days_of(first: date, last: date) -> Iterator[date]:
    """Every day, both included."""
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def is_range(first: date, last: date) -> bool:
    """Whether there are days from `first` to `last`, both included, and at most MAX_DAYS."""
    return 0 <= (last - first).days < MAX_DAYS


def batches_of_unique_days(days: Sequence[CostRecorded]) -> list[list[CostRecorded]]:
    """Batches with at most one reading of each day of an integration, the oldest first, so that no revision is lost."""
    batches: list[list[CostRecorded]] = []
    readings: defaultdict[tuple[UUID, date, str], Iterator[int]] = defaultdict(count)
    for day in sorted(days, key=attrgetter("observed_at")):
        number = next(readings[_day_key(day)])
        if number == len(batches):
            batches.append([])
        batches[number].append(day)
    return batches


def _day_key(day: CostRecorded) -> tuple[UUID, date, str]:
    return day.integration_id, day.day, day.account_id


def unreconciled(window: WindowRead, stored: Mapping[date, StoredDay]) -> tuple[date, ...]:
    """The window's days for which the ledger has neither this reading, with its sum, nor a newer one.

    Of questioned days the window claims nothing.
    """
    questioned = window.questioned_days or ()
    days = (day for day in days_of(window.first_day, window.last_day) if day not in questioned)
    return tuple(day for day in days if not _is_reconciled(day, window, stored.get(day)))


def _is_reconciled(day: date, window: WindowRead, stored: StoredDay | None) -> bool:
    if stored is None or day not in window.totals:
        return False
    if stored.reading_id == window.reading_id:
        return stored.usd == window.totals[day]
    return stored.observed_at > window.observed_at


def covers(day: date, observed_at: datetime, today: date) -> bool:
    """Whether a reading covers the day: it was made after the day's end; today, any."""
    return day == today or observed_at >= ends_at(day)


def expected_days(expectation: Expectation, at: datetime) -> tuple[date, date] | None:
    """First and last day that it is expected to cover, as known at `at`: a later removal does not count yet."""
    removed_at = expectation.removed_at
    last = removed_at.date() - timedelta(days=1) if removed_at is not None and removed_at <= at else date.max
    return (expectation.first, last) if expectation.added_at <= at and expectation.first <= last else None
