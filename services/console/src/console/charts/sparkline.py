"""A row's costs by day, as small as a word."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from markupsafe import Markup

from console.charts.scale import HEIGHT, LEAST, scale_of

TALL: Final = 24
"""Pixels."""


def sparkline(amounts: Sequence[Decimal | None], description: str) -> Markup:
    """A bar a day; a gap for a day that is not known, a dot's height for the smallest cost and none for no cost."""
    scale = scale_of([usd for usd in amounts if usd is not None])
    base = scale.y(Decimal(0)) / HEIGHT * TALL
    bars = []
    for place, usd in enumerate(amounts):
        y = base if usd is None else scale.y(usd) / HEIGHT * TALL
        height = max(abs(base - y), LEAST) if usd else 0.0
        if usd:
            bars.append(
                Markup('<rect x="{:g}" y="{:.2f}" width=".8" height="{:.2f}"/>').format(
                    place + 0.1, min(y, base - height) if usd > 0 else base, height
                )
            )
    return Markup(
        '<svg class="sparkline" role="img" aria-label="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">{}</svg>'
    ).format(description, max(len(amounts), 1), TALL, Markup("").join(bars))
