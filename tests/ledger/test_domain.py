"""The rules of the ledger, without any surroundings."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st
from ledger.domain import StoredDay, batches_of_unique_days, days_of, unreconciled

from tests.ledger.support.ledger import FIRST, later, reading_of

TEAM = UUID(int=1)


@given(st.lists(st.sampled_from(["same", "newer", "older", "other sum", "absent", "cut"]), min_size=1, max_size=40))
def test_a_day_adds_up_with_this_reading_and_its_sum_or_with_a_newer_one(kinds: list[str]) -> None:
    by_day = dict(zip(days_of(FIRST, FIRST + timedelta(days=len(kinds) - 1)), kinds, strict=True))
    cut = [day for day, kind in by_day.items() if kind == "cut"]
    window = reading_of(TEAM, {day: {"a": "1"} for day in by_day if day not in cut}, cut=cut).window
    stored = {}
    for day, kind in by_day.items():
        if kind != "absent":
            reading_id = window.reading_id if kind in {"same", "other sum", "cut"} else uuid4()
            observed = later({"newer": 1, "older": -1}.get(kind, 0))
            stored[day] = StoredDay(Decimal(2 if kind == "other sum" else 1), reading_id, observed)

    missing = unreconciled(window, stored)

    assert set(missing) == {day for day, kind in by_day.items() if kind not in {"same", "newer"}}


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=12))
def test_batches_have_each_day_once_with_its_oldest_readings_first(numbers: list[tuple[int, int]]) -> None:
    days = [
        reading_of(TEAM, {FIRST + timedelta(days=day): {}}, observed_at=later(hour)).days[0] for day, hour in numbers
    ]

    batches = batches_of_unique_days(days)

    seen: dict[date, list[datetime]] = {}
    for batch in batches:
        assert len({one.day for one in batch}) == len(batch)
        for one in batch:
            seen.setdefault(one.day, []).append(one.observed_at)
    assert all(instants == sorted(instants) for instants in seen.values())
    assert sorted(one.reading_id for batch in batches for one in batch) == sorted(one.reading_id for one in days)
