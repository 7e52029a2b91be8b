"""Builds what the routes of history answer from what the store knows. Pure: no I/O, no clock, no framework."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from contract.rules import is_provisional
from sqlalchemy import RowMapping

from ledger.domain import covers
from ledger.history.schemas import (
    SENTENCES,
    DayCoverage,
    IntegrationCoverage,
    IntegrationDay,
    Reading,
    Reason,
)
from ledger.store.history import Key, LeftOut, ReadDay

Expected = Mapping[UUID, tuple[date, date]]
"""First and last day that an integration is expected to cover."""


def day_coverage(
    day: date, expected: Expected, read: Mapping[Key, ReadDay], left_out: Mapping[Key, LeftOut], today: date
) -> DayCoverage:
    """The day of each integration that is expected to have it, or has it all the same."""
    awaited = {one for one, (first, last) in expected.items() if first <= day <= last}
    ids = sorted(awaited | {one for one, of_day in read if of_day == day})
    integrations = [_coverage(one, day, read.get((one, day)), left_out.get((one, day)), today) for one in ids]
    missing = any(not one.covered and one.integration_id in awaited for one in integrations)
    return DayCoverage(day=day, covered=bool(awaited) and not missing, integrations=integrations)


def _coverage(
    integration_id: UUID, day: date, read: ReadDay | None, left_out: LeftOut | None, today: date
) -> IntegrationCoverage:
    reason = _reason(day, read, left_out, today)
    return IntegrationCoverage(
        integration_id=integration_id,
        covered=read is not None and covers(day, read.observed_at, today),
        usd=read and read.usd,
        observed_at=read and read.observed_at,
        provisional=read is not None and is_provisional(day, read.observed_at),
        restated=read is not None and read.restated,
        reason=reason,
        why=SENTENCES[reason] if reason else None,
    )


def _reason(day: date, read: ReadDay | None, left_out: LeftOut | None, today: date) -> Reason | None:
    if left_out and (read is None or left_out.observed_at > read.observed_at):
        return Reason.QUESTIONED if left_out.questioned else Reason.NOT_RECONCILED
    if read is None:
        return Reason.NOT_READ
    return None if covers(day, read.observed_at, today) else Reason.READ_BEFORE_ITS_END


def integration_day(
    coverage: IntegrationCoverage,
    stored: RowMapping | None,
    former: Sequence[RowMapping],
    readings: Mapping[UUID, RowMapping],
) -> IntegrationDay:
    """`stored` is None where the day was not read."""
    current: dict[str, Any] = {"costs": [], "valid_from": None, "reading": None}
    if stored:
        reading = _reading(stored, readings).model_copy(update={"observed_at": stored["observed_at"]})
        current = {"costs": stored["costs"], "valid_from": stored["valid_from"], "reading": reading}
    values = [dict(row) | {"reading": _reading(row, readings)} for row in former]
    return IntegrationDay.model_validate(coverage.model_dump() | current | {"former": values})


def _reading(row: RowMapping, readings: Mapping[UUID, RowMapping]) -> Reading:
    """The reading of a row of costs."""
    reading_id = row["reading_id"]
    return Reading.model_validate(readings.get(reading_id) or {"reading_id": reading_id})
