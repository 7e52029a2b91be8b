"""Amounts are exact, and equal amounts have one text."""

from decimal import Decimal

import pytest
from contract.money import parse_usd, plain, same_amount, same_costs
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "1e400", "1" * 16, "0." + "1" * 41, "1_0", " 1", "", "1,5", True, 1.5]
)
def test_what_is_no_exact_amount_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"amount|finite"):
        parse_usd(text)


def test_equal_amounts_have_equal_texts() -> None:
    assert {plain(Decimal(text)) for text in ("1.50", "1.5", "15E-1", "1.500")} == {"1.5"}
    assert {plain(Decimal(text)) for text in ("0", "-0", "0.00", "0E+3")} == {"0"}


TICK = Decimal("1E-10")
BELOW_100_USD = st.integers(1, 10**12 - 1).map(lambda ticks: ticks * TICK)


@given(BELOW_100_USD, st.integers(1, 9), st.sampled_from([1, -1]))
def test_a_change_of_one_tick_below_a_hundred_dollars_is_seen(usd: Decimal, ticks: int, sign: int) -> None:
    for one in (usd * sign, usd * sign + ticks * TICK):
        assert not same_amount(usd * sign, usd * sign - ticks * TICK)
        assert same_amount(one, one)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1", "1.0000000001", False),
        ("99.9999999999", "100", False),
        ("100", "100.0000000001", True),
        ("12345.6789012345", "12345.6789012468", True),
        ("12345.6789012345", "12345.6789012469", False),
        ("-12345.6789012345", "-12345.6789012468", True),
        ("1", "-1", False),
        ("0", "1e-40", False),
        ("0", "0.0000000001", False),
        ("0", "-0", True),
        ("999999999999999." + "9" * 40, "999999999999999", True),
    ],
)
def test_amounts_are_the_same_up_to_the_noise_of_their_sum(one: str, other: str, *, same: bool) -> None:
    assert same_amount(Decimal(one), Decimal(other)) is same
    assert same_amount(Decimal(other), Decimal(one)) is same


def test_days_are_the_same_by_label_and_an_absent_label_is_zero() -> None:
    assert same_costs({"a": Decimal(1), "b": Decimal(0)}, {"a": Decimal("1.0")})
    assert not same_costs({"a": Decimal(1)}, {"b": Decimal(1)})
    assert not same_costs({"a": Decimal(1)}, {})
    assert same_costs({}, {})
