"""Which models have a colour of their own, and what the others are folded into."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from console.charts.days import Day

COLOURS: Final = 7
"""Of the palette in `static/theme.css`; one more is grey, for what is folded."""
OTHER: Final = COLOURS


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a stack and its line in the legend."""

    name: str
    colour: int
    """0 to 6; 7 is the grey of what is folded."""
    usd: tuple[Decimal, ...]
    """Of each day; zero where the day has none of it."""
    names: tuple[str, ...]
    """Itself, or each that is folded."""


def folded(days: Sequence[Day]) -> list[Series]:
    """The dearest models, each with a colour, and the others as one; in the order of the legend and of the stack.

    All that there is gets a colour of its own where the palette suffices. The parts of each day sum to what its parts
    summed to before.
    """
    amounts = _by_name(days)
    names = sorted(amounts, key=lambda name: (-sum(abs(usd) for usd in amounts[name]), name))
    own = names if len(names) <= COLOURS + 1 else names[:COLOURS]
    kept = [Series(name, place, tuple(amounts[name]), (name,)) for place, name in enumerate(own)]
    rest = names[len(own) :]
    return [*kept, _other(rest, amounts)] if rest else kept


def _by_name(days: Sequence[Day]) -> dict[str, list[Decimal]]:
    amounts: defaultdict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * len(days))
    for place, day in enumerate(days):
        for name, usd in day.amounts().items():
            amounts[name][place] = usd
    return amounts


def _other(names: list[str], amounts: dict[str, list[Decimal]]) -> Series:
    sums = tuple(sum(of_day, Decimal(0)) for of_day in zip(*(amounts[name] for name in names), strict=True))
    return Series(f"{len(names)} others", OTHER, sums, tuple(names))
