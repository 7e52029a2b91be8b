"""Amounts are exact, and equal amounts have one text."""

import json
from contextlib import suppress
from decimal import Decimal, Inexact

import pytest
from contract.money import Usd, parse_usd, plain, same_amount, same_costs, total
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "1e400", "1" * 16, "0." + "1" * 41, "1_0", " 1", "", "1,5", True, 1.5]
)
def test_what_is_no_exact_amount_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"amount|finite"):
        parse_usd(text)


def test_equal_amounts_have_equal_texts() -> None:
    assert {plain(Decimal(text)) for text in ("1.50", "1.5", "15E-1", "1.500")} == {"1.5"}
    assert {plain(Decimal(text)) for text in ("0", "-0", "0.00", "0E+3")} == {"0"}


USD: TypeAdapter[Decimal] = TypeAdapter(Usd)
NEARLY_AMOUNTS = st.from_regex(r"[-+]?[0-9]{0,17}\.?[0-9]{0,42}([eE][-+]?[0-9]{1,4})?[ \n_\u0660]?", fullmatch=True)
VALUES = st.one_of(NEARLY_AMOUNTS, st.text(max_size=5), st.integers(), st.floats(), st.booleans(), st.none())
"""What may stand in JSON in the place of an amount."""


def _parsed(value: object) -> str | None:
    """Every digit of the amount, trailing zeros included; None where there is none."""
    with suppress(ValueError):
        return repr(parse_usd(value))
    return None


def _read(value: object) -> str | None:
    with suppress(ValidationError):
        return repr(USD.validate_json(json.dumps(value)))
    return None


@given(VALUES)
def test_a_message_reads_exactly_the_amounts_that_the_rule_in_words_allows(value: object) -> None:
    assert _read(value) == _parsed(value)


@pytest.mark.parametrize(
    "text",
    ["1" * 15, "1" * 16, "0." + "1" * 40, "0." + "1" * 41, "000", "-0.10", "1\n", "1e14", "1e15", "0e999", "\u0661"],
)
def test_the_bounds_of_an_amount_are_the_same_in_a_message(text: str) -> None:
    assert _read(text) == _parsed(text)


def test_a_refused_amount_is_one_error_without_its_value() -> None:
    with pytest.raises(ValidationError) as refused:
        USD.validate_json('"1,5"')

    (error,) = refused.value.errors(include_input=False, include_url=False, include_context=False)
    assert (error["type"], error["loc"]) == ("value_error", ())
    assert "1,5" not in error["msg"]


def test_a_sum_that_needs_more_digits_than_are_kept_is_an_error() -> None:
    assert total([Decimal(999999999999999), Decimal("1E-40")]) == Decimal("999999999999999." + "0" * 39 + "1")
    with pytest.raises(Inexact):
        total([Decimal("1E+30"), Decimal("1E-40")])


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
