"""Days, instants and lines of text: what is accepted, and what is refused."""

from datetime import UTC, datetime

import pytest
from contract.fields import Day, Instant, Label, rfc3339
from pydantic import TypeAdapter, ValidationError


@pytest.mark.parametrize(
    "instant", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00", "2026-11-20T00:00:00", "0", 0]
)
def test_an_instant_outside_the_calendar_or_without_a_zone_is_refused(instant: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Instant).validate_python(instant)


def test_an_instant_is_stored_and_written_in_utc() -> None:
    instant = TypeAdapter(Instant).validate_python("2026-11-20T01:00:00+01:00")

    assert instant == datetime(2026, 11, 20, tzinfo=UTC)
    assert rfc3339(instant) == "2026-11-20T00:00:00.000000Z"


@pytest.mark.parametrize("day", ["20261120", "2026-11-20T00:00:00", "1795219200", 1795219200])
def test_a_day_is_an_iso_date_and_nothing_else(day: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Day).validate_python(day)


@pytest.mark.parametrize("label", ["", " ", "a\nb", "a\0", "\ud800", "a" * 257])
def test_a_label_is_one_visible_line(label: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Label).validate_python(label)
