"""Amounts are exact, and equal amounts have one text."""

from decimal import Decimal

import pytest
from contract.money import parse_usd, plain


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "1e400", "1" * 16, "0." + "1" * 41, "1_0", " 1", "", "1,5", True, 1.5]
)
def test_what_is_no_exact_amount_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"amount|finite"):
        parse_usd(text)


def test_equal_amounts_have_equal_texts() -> None:
    assert {plain(Decimal(text)) for text in ("1.50", "1.5", "15E-1", "1.500")} == {"1.5"}
    assert {plain(Decimal(text)) for text in ("0", "-0", "0.00", "0E+3")} == {"0"}
