from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from simulator.costs import costs, part, plain
from simulator.teams import DEMO_TEAM, SECOND_TEAM

DAY = date(2026, 11, 1)
YEAR = [DAY + timedelta(days=n) for n in range(365)]

amounts = st.decimals(-(10**9), 10**9, places=12)


def fraction_digits(usd: Decimal) -> int:
    exponent = usd.as_tuple().exponent
    assert isinstance(exponent, int)
    return -exponent


def test_the_costs_of_a_day_are_the_same_for_ever() -> None:
    found = costs(1, DEMO_TEAM, date(2026, 11, 19))
    assert str(found["Chat grok-4-0709"]) == "2.5256452"
    assert str(found["grok-4-fast-non-reasoning"]) == "11.0284732711"


@given(st.integers(), st.uuids().map(str), st.dates(date(2000, 1, 1)))
def test_amounts_have_seven_to_ten_digits_after_the_point(seed: int, team_id: str, day: date) -> None:
    found = costs(seed, team_id, day)
    assert all(usd >= 0 for usd in found.values())
    assert {fraction_digits(usd) for usd in found.values() if usd} <= set(range(7, 11))
    assert list(found) == sorted(found)


def test_teams_and_seeds_cost_different_amounts() -> None:
    assert costs(1, DEMO_TEAM, DAY) != costs(1, SECOND_TEAM, DAY) != costs(2, SECOND_TEAM, DAY)


def test_some_days_are_empty_and_some_amounts_zero() -> None:
    year = [costs(1, DEMO_TEAM, day) for day in YEAR]
    assert any(not day for day in year)
    assert any(0 in day.values() for day in year)


def test_each_quarter_a_new_model_appears() -> None:
    def labels(days: list[date]) -> set[str]:
        return {label for day in days for label in costs(1, DEMO_TEAM, day)}

    for n in range(0, 270, 90):
        assert labels(YEAR[n + 90 :][:90]) - labels(YEAR[: n + 90])


@given(amounts, st.integers(0, 30))
def test_a_part_and_its_rest_are_the_whole(usd: Decimal, numerator: int) -> None:
    first = part(usd, numerator, 30)
    assert first + (usd - first) == usd
    assert fraction_digits(first) == fraction_digits(usd)
    assert part(usd, 30, 30) == usd


@given(st.decimals(allow_nan=False, allow_infinity=False, places=15))
def test_a_plain_text_is_the_same_amount(usd: Decimal) -> None:
    assert Decimal(plain(usd)) == usd
    assert plain(usd) == plain(Decimal(f"{usd:f}000" if "." in f"{usd:f}" else f"{usd:f}.000"))
