"""Stacks as areas: bands from day to day, broken where a day is not known."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import groupby

from markupsafe import Markup

from console.charts.days import Day
from console.charts.scale import HEIGHT, Scale
from console.charts.series import Series


def areas(days: Sequence[Day], legend: Sequence[Series], scale: Scale, *, unbroken: bool) -> Markup:
    """One band a series for each run of known days; unbroken where sums go on over an unknown day."""
    bands = [
        Markup('<path class="c{}" d="{}"/>').format(series.colour, _outline(run, legend, place, scale))
        for run in _runs(days, unbroken=unbroken)
        for place, series in enumerate(legend)
    ]
    return Markup(
        '<svg class="areas" viewBox="0 0 {} {height}" width="100%" height="{height}" preserveAspectRatio="none">{}</svg>'
    ).format(len(days), Markup("").join(bands), height=HEIGHT)


def _runs(days: Sequence[Day], *, unbroken: bool) -> Iterator[list[int]]:
    if unbroken:
        yield list(range(len(days)))
        return
    for known, places in groupby(range(len(days)), key=lambda place: days[place].usd is not None):
        if known:
            yield list(places)


def _outline(run: Sequence[int], legend: Sequence[Series], place: int, scale: Scale) -> str:
    """There along the upper edge and back along the lower one; the first and last day keep their whole width."""
    edges = [_edges(legend, place, day, scale) for day in run]
    xs = [run[0], *(day + 0.5 for day in run), run[-1] + 1]
    upper, lower = ([edge[side] for edge in (edges[0], *edges, edges[-1])] for side in (0, 1))
    there, back = list(zip(xs, upper, strict=True)), list(zip(xs, lower, strict=True))
    return f"M{' '.join(f'{x:g},{y:.2f}' for x, y in [*there, *reversed(back)])}z"


def _edges(legend: Sequence[Series], place: int, day: int, scale: Scale) -> tuple[float, float]:
    """Of one band on one day: costs are stacked on costs, credits below credits."""
    usd = legend[place].usd[day]
    below = [series.usd[day] for series in legend[:place] if (series.usd[day] < 0) == (usd < 0)]
    start = sum(below, Decimal(0))
    return scale.y(start + usd), scale.y(start)
