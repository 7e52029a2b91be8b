"""From amounts to pixels: an axis with round steps, and heights that hide no day."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

HEIGHT: Final = 240
"""Pixels between the lowest and the highest line."""
LEAST: Final = 2.0
"""Pixels of the smallest cost: it is never drawn as nothing."""
STEPS: Final = 4
ROUND: Final = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))


@dataclass(frozen=True, slots=True)
class Scale:
    """A vertical axis; `y` grows downwards, as in SVG."""

    lowest: Decimal
    highest: Decimal
    step: Decimal

    @property
    def ticks(self) -> list[Decimal]:
        count = int((self.highest - self.lowest) / self.step)
        return [self.lowest + self.step * place for place in range(count + 1)]

    def y(self, usd: Decimal) -> float:
        return float((self.highest - usd) / (self.highest - self.lowest)) * HEIGHT


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a column, in pixels from the top."""

    series: int
    """Its place in the legend."""
    y: float
    height: float


def scale_of(sums: Iterable[Decimal]) -> Scale:
    """Holds every sum and zero; of 4 or 5 steps that a person can count in. Without an amount: 0 to 1 USD."""
    known = [Decimal(0), *sums]
    low, high = min(known), max(known)
    if low == high:
        return Scale(Decimal(0), Decimal(1), Decimal("0.25"))
    step = _round_step((high - low) / STEPS)
    floor, ceiling = (low / step).to_integral_value(ROUND_FLOOR), (high / step).to_integral_value(ROUND_CEILING)
    return Scale(floor * step, ceiling * step, step)


def _round_step(least: Decimal) -> Decimal:
    power = Decimal(1).scaleb(least.adjusted())
    return next(factor * power for factor in ROUND if factor * power >= least)


def extremes(amounts: Sequence[Decimal]) -> tuple[Decimal, Decimal]:
    """How far a stack reaches below and above zero."""
    return sum((usd for usd in amounts if usd < 0), Decimal(0)), sum((usd for usd in amounts if usd > 0), Decimal(0))


def segments(amounts: Sequence[Decimal], scale: Scale) -> list[Segment]:
    """The stack of one day, from the axis outwards: costs upwards with the first of the legend at the bottom.

    Credits, which are negative, are stacked downwards. A stack that is less than `LEAST` pixels high is drawn as its
    largest part, that high.
    """
    stacks = (_stack([(place, usd) for place, usd in enumerate(amounts) if usd * sign > 0], scale) for sign in (1, -1))
    return [segment for stack in stacks for segment in stack]


def _stack(parts: list[tuple[int, Decimal]], scale: Scale) -> list[Segment]:
    edges = [Decimal(0)]
    for _, usd in parts:
        edges.append(edges[-1] + usd)
    ys = [scale.y(edge) for edge in edges]
    if parts and abs(ys[-1] - ys[0]) < LEAST:
        largest, usd = max(parts, key=lambda part: abs(part[1]))
        return [Segment(largest, ys[0] - LEAST if usd > 0 else ys[0], LEAST)]
    pairs = zip(parts, ys, ys[1:], strict=False)
    return [Segment(place, min(start, end), abs(end - start)) for (place, _), start, end in pairs]
