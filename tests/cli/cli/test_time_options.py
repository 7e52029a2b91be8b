from datetime import UTC, datetime, timedelta

import pytest
from grafient.cli.time_options import duration, instant
from typer import BadParameter


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T06:00:00Z", datetime(2026, 11, 1, 6, tzinfo=UTC)),
        ("2026-11-01T06:00:00", datetime(2026, 11, 1, 6, tzinfo=UTC)),
        ("2026-11-01T06:00:00+02:00", datetime(2026, 11, 1, 4, tzinfo=UTC)),
    ],
)
def test_a_day_or_an_instant_is_in_utc_where_it_has_no_offset(text: str, at: datetime) -> None:
    assert instant(text) == at


@pytest.mark.parametrize(("text", "ago"), [("30m", timedelta(minutes=30)), ("24h", timedelta(1)), ("7d", timedelta(7))])
def test_a_duration_is_counted_back_from_now(text: str, ago: timedelta) -> None:
    assert duration(text) == ago
    assert abs(datetime.now(UTC) - ago - instant(text)) < timedelta(minutes=1)


@pytest.mark.parametrize("text", ["24", "h", "yesterday", "2026-13-01", "1234567d", ""])
def test_another_text_is_refused_with_the_forms_that_are_not(text: str) -> None:
    with pytest.raises(BadParameter, match="30m, 24h, 7d, 2026-11-01"):
        instant(text)
