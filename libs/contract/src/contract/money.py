"""Exact US dollars: the digits of the text, never a binary float."""

import re
from collections.abc import Iterable, Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import reduce
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

EXACT = Context(prec=60, traps=[Inexact, InvalidOperation])
"""The context of every sum: a result that would need rounding is an error."""

_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")

MAX_INTEGER_DIGITS = 15
MAX_FRACTION_DIGITS = 40
_PLAIN = rf"^-?[0-9]{{1,{MAX_INTEGER_DIGITS}}}(\.[0-9]{{1,{MAX_FRACTION_DIGITS}}})?$"
CANONICAL = (
    rf"(?:0|-?+(?:0(?=\.)|[1-9][0-9]{{0,{MAX_INTEGER_DIGITS - 1}}}+)(?:\.[0-9]{{1,{MAX_FRACTION_DIGITS}}}+(?<!0))?+)"
)
"""A regular expression for what `plain` writes."""
ZERO = Decimal(0)
NOISE = Decimal("1E-12")
"""Of an amount: the last digits of long sums of doubles. Below 100 US dollars it is less than a tick (1e-10)."""


def parse_usd(text: object) -> Decimal:
    """The amount in `text`: a decimal string, an int, or a Decimal; at most 15 digits before and 40 after the point.

    Raises ValueError for floats, bools, NaN, infinities, and amounts outside those bounds.
    """
    if isinstance(text, str) and not _DECIMAL.fullmatch(text):
        raise ValueError("not a decimal amount")
    if isinstance(text, bool | float) or not isinstance(text, str | int | Decimal):
        raise ValueError("an amount is a decimal string, never a binary float")  # noqa: TRY004 - pydantic expects a ValueError
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError("not a decimal amount") from None
    return _bounded(amount)


def plain(amount: Decimal) -> str:
    """`amount` without an exponent and without trailing zeros after the point: equal amounts have equal texts."""
    text = f"{amount:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if amount else "0"


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum; raises decimal.Inexact where it needs more than 60 digits."""
    return reduce(EXACT.add, amounts, ZERO)


def same_amount(one: Decimal, other: Decimal) -> bool:
    """Whether two readings of an amount differ by noise at most, measured by the smaller of them."""
    noise = EXACT.multiply(NOISE, min(one.copy_abs(), other.copy_abs()))
    return EXACT.subtract(one, other).copy_abs() <= noise


def same_costs(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> bool:
    """Whether two readings of a day are the same: by label, and an absent label is 0. The ledger's SQL has the same rule."""
    return all(same_amount(one.get(label, ZERO), other.get(label, ZERO)) for label in one.keys() | other.keys())


def _bounded(amount: Decimal) -> Decimal:
    if not amount.is_finite():
        raise ValueError("an amount is finite")
    if amount and amount.adjusted() >= MAX_INTEGER_DIGITS:
        raise ValueError(f"an amount has at most {MAX_INTEGER_DIGITS} digits before the point")
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MAX_FRACTION_DIGITS:
        raise ValueError(f"an amount has at most {MAX_FRACTION_DIGITS} digits after the point")
    return amount


class _PlainFirst:
    """Reads a plain decimal string in compiled code; whatever else `parse_usd` accepts, and refuses, is left to it."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - any type
        plain_text = core_schema.str_schema(pattern=_PLAIN)
        return core_schema.union_schema(
            [core_schema.chain_schema([plain_text, core_schema.decimal_schema()]), handler(source)],
            mode="left_to_right",
            custom_error_type="value_error",
            custom_error_context={"error": "not an exact decimal amount within bounds"},
        )


Usd = Annotated[
    Decimal,
    BeforeValidator(parse_usd),
    _PlainFirst(),
    PlainSerializer(plain, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d{1,15}(\.\d{1,40})?$", "examples": ["1.2345678"]}),
]
"""US dollars, exact; in JSON a plain decimal string."""
