"""The costs of each team, drawn from a seed: a pure function, so that tests can compute the expected figures."""

from datetime import date, timedelta
from decimal import Context, Decimal, Inexact
from functools import reduce
from hashlib import blake2b
from random import Random

EXACT = Context(prec=200, traps=[Inexact])
"""For every calculation: amounts have at most a few dozen digits, and none may be rounded."""

ZERO = Decimal(0)
TICK_DIGITS = 10
"""xAI bills in ticks: 10,000,000,000 are a US dollar."""

PARTS = 100
_ORDER = Random(1)  # noqa: S311 - the order of an addition is no secret

LARGEST_USD = {
    "Chat grok-4-0709": 40,
    "grok-4-fast-non-reasoning": 12,
    "grok-4-fast-reasoning": 18,
    "grok-2-image-1212": 9,
    "grok-code-fast-1": 6,
    "grok-voice-think-fast-2.0": 3,
    "File Storage": 1,
}
"""Labels that exist on every day, and about the largest daily cost of each."""


def costs(seed: int, team_id: str, day: date) -> dict[str, Decimal]:
    """US dollars per label that the team spends on the UTC day, 7-10 digits after the point; sorted by label.

    About every eleventh day is empty, labels come and go, and some amounts are zero.
    """
    if _draw(seed, team_id, day) % 11 == 0:
        return {}
    labels = sorted({*LARGEST_USD, *_previews(seed, team_id, day)})
    return {label: amount(seed, team_id, day, label) for label in labels if _is_used(seed, team_id, day, label)}


def amount(seed: int, team_id: str, day: date, label: str) -> Decimal:
    """US dollars that the label costs on the UTC day where it is used; zero about every ninth time."""
    drawn = _draw(seed, team_id, day, label)
    if drawn % 9 == 0:
        return ZERO
    digits = min(7 + drawn % 6, TICK_DIGITS)
    units = _draw(seed, team_id, day, label, "units") % (LARGEST_USD.get(label, 5) * 10 ** (digits - 1))
    return Decimal(f"{units}{1 + drawn % 7}E-{digits}")  # the last digit is never 0, so all of them count


def part(whole: Decimal, numerator: int, denominator: int) -> Decimal:
    """`whole` x `numerator` / `denominator`, rounded down to the digits that `whole` has."""
    exponent = whole.as_tuple().exponent
    if not isinstance(exponent, int):
        raise TypeError("an amount is finite")
    units = int(whole.scaleb(-exponent, EXACT)) * numerator // denominator
    return Decimal(units).scaleb(exponent, EXACT)


def as_sum_of_doubles(usd: Decimal) -> float:
    """`usd` as a database adds it up from many doubles: the last digits depend on the order, another one at each call."""
    shares = [_ORDER.random() for _ in range(PARTS)]
    unit = float(usd) / sum(shares)
    return reduce(float.__add__, (share * unit for share in shares), 0.0)


def add(one: Decimal, other: Decimal) -> Decimal:
    return EXACT.add(one, other)


def plain(usd: Decimal) -> str:
    """`usd` without an exponent and without trailing zeros after the point: equal amounts have equal texts."""
    text = f"{usd:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _is_used(seed: int, team_id: str, day: date, label: str) -> bool:
    return _draw(seed, team_id, day, label, "used") % 4 != 0


def _previews(seed: int, team_id: str, day: date) -> list[str]:
    """A new model appears each month and disappears at the end of the next: any window contains new labels."""
    month_before = day.replace(day=1) - timedelta(days=1)
    labels = [f"grok-preview-{month_before:%Y-%m}"]
    if day.day > _draw(seed, team_id, f"{day:%Y-%m}") % 28:
        labels.append(f"grok-preview-{day:%Y-%m}")
    return labels


def _draw(*what: object) -> int:
    """Draw a number that depends on `what` only, on any machine and version."""
    return int.from_bytes(blake2b("\n".join(map(str, what)).encode(), digest_size=8).digest())
