import json
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator.query import read_query
from simulator.refusals import RefusalError

Body = dict[str, dict[str, object]]


def body(start: str = "2026-11-01 00:00:00", end: str = "2026-11-08 00:00:00", timezone: str = "Etc/GMT") -> Body:
    return {
        "analyticsRequest": {
            "timeRange": {"startTime": start, "endTime": end, "timezone": timezone},
            "timeUnit": "TIME_UNIT_DAY",
            "values": [{"name": "usd", "aggregation": "AGGREGATION_SUM"}],
            "groupBy": ["description"],
            "filters": [],
        }
    }


def with_field(name: str, value: object) -> Body:
    return {"analyticsRequest": body()["analyticsRequest"] | {name: value}}


def refusal(asked: object) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        read_query(asked if isinstance(asked, bytes) else json.dumps(asked).encode())
    assert caught.value.status == 400
    return caught.value


def read(asked: Body) -> tuple[datetime, ...]:
    return read_query(json.dumps(asked).encode()).bounds


def test_the_documented_request_asks_for_its_days() -> None:
    query = read_query(json.dumps(body()).encode())
    assert (query.first_day, query.last_day, query.days) == (date(2026, 11, 1), date(2026, 11, 7), 7)
    assert query.grouped
    assert not read_query(json.dumps(with_field("groupBy", [])).encode()).grouped


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(1, 366))
def test_every_day_of_the_range_is_one_interval(first: date, days: int) -> None:
    end = first + timedelta(days=days)
    bounds = read(body(f"{first} 00:00:00", f"{end} 00:00:00"))
    assert [bound.date() for bound in bounds] == [first + timedelta(days=n) for n in range(days + 1)]


@given(st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Etc/GMT-14"]))
def test_days_begin_at_midnight_of_the_asked_time_zone(timezone: str) -> None:
    bounds = read(body("2026-03-01 00:00:00", "2026-12-01 00:00:00", timezone))
    assert len(bounds) == 276
    assert all(timedelta(hours=23) <= b - a <= timedelta(hours=25) for a, b in pairwise(bounds))


def test_a_day_of_berlin_begins_the_evening_before_in_utc() -> None:
    bounds = read(body("2026-11-01 00:00:00", "2026-11-02 00:00:00", "Europe/Berlin"))
    assert bounds == (datetime(2026, 10, 31, 23, tzinfo=UTC), datetime(2026, 11, 1, 23, tzinfo=UTC))


def test_a_range_may_begin_and_end_within_a_day() -> None:
    bounds = read(body("2026-11-01 06:00:00", "2026-11-02 18:00:00"))
    assert [bound.hour for bound in bounds] == [6, 0, 18]


@pytest.mark.parametrize(
    "asked",
    [
        body("2026-11-08 00:00:00"),
        body("2026-11-09 00:00:00"),
        body("2026-11-01"),
        body("2026-11-01T00:00:00Z"),
        body("2026-11-01 24:00:00"),
        body("2026-02-30 00:00:00"),
        body("2025-01-01 00:00:00"),
        body("0001-01-01 00:00:00", "0001-01-02 00:00:00", "Asia/Tokyo"),
        body(timezone=""),
        body(timezone="Mars/Olympus"),
        body(timezone="../passwd"),
        body(timezone="Europe"),
        with_field("values", []),
        with_field("values", [{"name": "tokens", "aggregation": "AGGREGATION_SUM"}]),
        with_field("values", [{"name": "usd", "aggregation": "AGGREGATION_AVG"}]),
        with_field("groupBy", ["model"]),
        with_field("filters", ["x"]),
        with_field("more", 1),
        {},
        [],
        b"",
        b"{",
        b"\xff",
    ],
)
def test_what_the_reference_does_not_know_is_refused(asked: object) -> None:
    refusal(asked)


@pytest.mark.parametrize("unit", ["TIME_UNIT_HOUR", "TIME_UNIT_MONTH", "DAY", 4])
def test_another_time_unit_is_refused_with_the_one_that_is_known(unit: object) -> None:
    assert "TIME_UNIT_DAY" in str(refusal(with_field("timeUnit", unit)))
