"""Of a range that is refused, what is accepted is read, in a number of calls that hardly grows with the range."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from contract.problems import Code
from hypothesis import given
from hypothesis import strategies as st
from syncer.accepted_days import read_accepted
from syncer.domain import Days
from syncer.provider import ReadError, Reading, ReadRefusedError, ReadTransientError

from tests.syncer.support.provider import dates_of, reading_of

TODAY = date(2026, 11, 20)
DAYS = Days(TODAY - timedelta(days=29), TODAY)


class _Provider:
    """Answers for the ranges that it accepts."""

    def __init__(self, accepts: Callable[[Days], bool]) -> None:
        self.calls: list[Days] = []
        self._accepts = accepts

    async def ask(self, days: Days) -> Reading:
        self.calls.append(days)
        if not self._accepts(days):
            raise ReadError(Code.REQUEST_REFUSED)
        return reading_of(days)


@given(kept=st.integers(1, 29))
async def test_what_is_older_than_all_that_is_accepted_is_beyond(kept: int) -> None:
    first = TODAY - timedelta(days=kept - 1)
    provider = _Provider(lambda days: days.first >= first)

    reading = await read_accepted(provider.ask, DAYS, TODAY)

    assert (reading.first_day, reading.last_day) == (first, TODAY)
    assert reading.beyond_until == first - timedelta(days=1)
    assert sorted(reading.days) == dates_of(Days(first, TODAY))
    assert (reading.cut_days, len(provider.calls) <= 13) == (frozenset(), True)
    assert [part.first_day for part in reading.parts] == sorted(part.first_day for part in reading.parts)


@given(longest=st.integers(1, 29))
async def test_a_limit_of_a_range_s_length_hides_no_day(longest: int) -> None:
    provider = _Provider(lambda days: len(dates_of(days)) <= longest)

    reading = await read_accepted(provider.ask, DAYS, TODAY)

    assert sorted(reading.days) == dates_of(DAYS)
    assert (reading.first_day, reading.beyond_until, reading.cut_days) == (DAYS.first, None, frozenset())


async def test_a_day_that_is_refused_between_accepted_ones_was_not_read() -> None:
    gap = TODAY - timedelta(days=9)
    provider = _Provider(lambda days: not days.first <= gap <= days.last)

    reading = await read_accepted(provider.ask, DAYS, TODAY)

    assert (reading.cut_days, reading.beyond_until) == (frozenset({gap}), None)
    assert sorted(reading.days) == [day for day in dates_of(DAYS) if day != gap]


@pytest.mark.parametrize("days", [DAYS, Days(TODAY, TODAY)])
async def test_where_the_newest_day_is_refused_too_it_may_be_accepted_later(days: Days) -> None:
    provider = _Provider(lambda _: False)

    with pytest.raises(ReadTransientError) as failed:
        await read_accepted(provider.ask, days, TODAY)

    assert failed.value.code is Code.REQUEST_REFUSED
    assert len(provider.calls) <= 1


async def test_a_range_of_which_nothing_is_accepted_although_newer_days_are_is_out_of_range() -> None:
    provider = _Provider(lambda days: days.first >= TODAY - timedelta(days=44))
    old = Days(TODAY - timedelta(days=89), TODAY - timedelta(days=60))

    with pytest.raises(ReadError) as failed:
        await read_accepted(provider.ask, old, TODAY)

    assert (type(failed.value), failed.value.code) == (ReadError, Code.OUT_OF_RANGE)
    assert provider.calls == [Days(old.last, old.last), Days(TODAY, TODAY)]


async def test_another_failure_meanwhile_is_the_failure_of_the_reading() -> None:
    async def ask(days: Days) -> Reading:
        raise ReadRefusedError(Code.KEY_REFUSED) if days.first < TODAY else ReadError(Code.REQUEST_REFUSED)

    with pytest.raises(ReadRefusedError):
        await read_accepted(ask, Days(DAYS.first, TODAY - timedelta(days=1)), TODAY)
