"""Which days are read, when and how often."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import pytest
from contract.fields import Plan, Trigger
from contract.problems import Code
from contract.rules import BACKFILL_DAYS
from hypothesis import given
from hypothesis import strategies as st
from syncer import domain
from syncer.domain import Days, Heal, Refusal

from tests.syncer.support.provider import dates_of

TODAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)

days_of_years = st.dates(date(2020, 1, 1), date(2030, 1, 1))


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.sampled_from(Plan))
def test_ranges_have_their_number_of_days_over_every_leap_day_and_year_end(today: date, plan: Plan) -> None:
    all_time = Days(date(1999, 1, 1), date(2101, 1, 1))
    usual, allowed = domain.default_days(today), domain.readable(all_time, today)
    assert allowed is not None

    windows = domain.backfill(plan, today)

    assert ((usual.last - usual.first).days + 1, usual.last) == (8, today)
    assert ((allowed.last - allowed.first).days + 1, allowed.last) == (90, today)
    assert (windows[0].last, (today - windows[-1].first).days + 1) == (today, BACKFILL_DAYS[plan])
    assert {one.last - one.first for one in windows} == {timedelta(days=domain.WINDOW_DAYS - 1)}
    assert all(older.last + timedelta(days=1) == newer.first for newer, older in pairwise(windows))


def test_a_range_without_a_readable_day_has_nothing_to_read() -> None:
    beyond = TODAY - timedelta(days=90)

    assert domain.readable(Days(beyond, beyond), TODAY) is None
    assert domain.readable(Days(TODAY + timedelta(days=1), TODAY + timedelta(days=2)), TODAY) is None


@given(days_of_years, days_of_years, days_of_years)
def test_readable_days_lie_in_the_range_and_in_the_last_ninety_days(one: date, two: date, today: date) -> None:
    asked = Days(min(one, two), max(one, two))

    cut = domain.readable(asked, today)

    if cut is not None:
        assert asked.first <= cut.first <= cut.last <= asked.last
        assert today - timedelta(days=89) <= cut.first
        assert cut.last <= today


@pytest.mark.parametrize("trigger", list(Trigger))
def test_a_key_that_was_not_refused_may_be_used(trigger: Trigger) -> None:
    assert domain.may_call(trigger, None, NOW)


@pytest.mark.parametrize(
    ("trigger", "days_ago", "allowed"),
    [
        (Trigger.FORCE, 0, True),
        (Trigger.FORCE, 300, True),
        (Trigger.DAILY, 6, True),
        (Trigger.DAILY, 7, False),
        (Trigger.VISIT, 0, False),
        (Trigger.HEAL, 0, False),
        (Trigger.BACKFILL, 0, False),
    ],
)
def test_a_refused_key_is_used_when_a_person_asks_and_daily_for_a_week(
    trigger: Trigger, days_ago: int, *, allowed: bool
) -> None:
    refusal = Refusal(Code.KEY_REFUSED, NOW - timedelta(days=days_ago))

    assert domain.may_call(trigger, refusal, NOW) is allowed


def test_figures_are_fresh_for_fifteen_minutes() -> None:
    assert domain.is_fresh(NOW - timedelta(minutes=14), NOW)
    assert not domain.is_fresh(NOW - timedelta(minutes=15), NOW)
    assert not domain.is_fresh(None, NOW)


@given(st.integers(1, 10_000), st.one_of(st.none(), st.floats(0, 21_600)), st.floats(0, 1, exclude_max=True))
def test_a_pause_has_bounds_and_never_shortens_retry_after(
    attempt: int, retry_after: float | None, chance: float
) -> None:
    pause = domain.pause_after(attempt, retry_after, chance)

    assert pause >= domain.FIRST_PAUSE / 2
    assert pause >= timedelta(seconds=retry_after or 0)
    assert pause <= max(domain.LONGEST_PAUSE, timedelta(seconds=retry_after or 0))


def test_pauses_double_until_the_longest() -> None:
    pauses = [domain.pause_after(attempt, None, 0.999_999_999) for attempt in range(1, 14)]

    assert [round(one.total_seconds()) for one in pauses[:4]] == [2, 4, 8, 16]
    assert round(pauses[-1].total_seconds()) == 900


def test_a_window_is_abandoned_after_a_day_of_failures() -> None:
    assert not domain.is_abandoned(NOW - timedelta(hours=23, minutes=59), NOW)
    assert domain.is_abandoned(NOW - timedelta(hours=24), NOW)


def test_healing_waits_a_minute_doubling_and_a_day_from_the_sixth_time() -> None:
    minutes = [domain.heal_pause(attempt).total_seconds() / 60 for attempt in range(1, 8)]

    assert minutes == [1, 2, 4, 8, 16, 24 * 60, 24 * 60]


def test_neighbours_are_healed_together() -> None:
    missing = [(TODAY, 0), (TODAY - timedelta(days=1), 0), (TODAY - timedelta(days=3), 0)]

    assert list(domain.heals(missing)) == [
        Heal(Days(TODAY - timedelta(days=3), TODAY - timedelta(days=3)), 1),
        Heal(Days(TODAY - timedelta(days=1), TODAY), 1),
    ]


def test_a_day_that_always_fails_does_not_slow_its_neighbour_down() -> None:
    missing = [(TODAY - timedelta(days=1), 7), (TODAY, 0)]

    assert [heal.attempt for heal in domain.heals(missing)] == [8, 1]


@given(st.dictionaries(days_of_years, st.integers(0, 3), max_size=120))
def test_every_missing_day_is_healed_once_in_windows_of_thirty_days(missing: dict[date, int]) -> None:
    healed = [
        (heal.days.first + timedelta(days=n), heal.attempt - 1)
        for heal in domain.heals(missing.items())
        for n in range((heal.days.last - heal.days.first).days + 1)
    ]

    assert healed == sorted(missing.items())
    assert all((one.days.last - one.days.first).days < domain.WINDOW_DAYS for one in domain.heals(missing.items()))


@given(days=st.integers(1, 90))
def test_a_sweep_reads_every_day_once_in_windows_of_at_most_30_days(days: int) -> None:
    first = TODAY - timedelta(days=days - 1)

    windows = domain.sweep(first, TODAY)

    covered = [day for window in windows for day in dates_of(window)]
    assert sorted(covered) == dates_of(Days(first, TODAY))
    assert windows[0].last == TODAY
    assert all(len(dates_of(window)) <= 30 for window in windows)


def test_first_sweeps_are_spread_over_a_week() -> None:
    hours = [domain.first_sweep_after(uuid4()) / timedelta(hours=1) for _ in range(700)]
    assert all(0 <= hour < 24 * 7 for hour in hours)
    assert all(sum(24 * day <= hour < 24 * (day + 1) for hour in hours) > 50 for day in range(7))
