"""The chart of a period: one stack a day, as bars, as an area, or summed up from its first day."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import accumulate
from typing import Final, Literal, get_args

from markupsafe import Markup

from console.charts.areas import areas
from console.charts.days import Day
from console.charts.scale import HEIGHT, LEAST, Scale, Segment, extremes, scale_of, segments
from console.charts.series import Series
from console.formats import Formats

Kind = Literal["bar", "area", "cumulative"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
TOP: Final = 24
"""Pixels above the highest line, for marks."""
BOTTOM: Final = 28
"""Pixels below the lowest line, for days."""
MOST_LABELS: Final = 7
WIDE: Final = 10
"""Up to so many days, columns have as much space as width."""

HATCH: Final = Markup(
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="hatch-ground" width="6" height="6"/><line class="hatch-line" y2="6"/></pattern></defs>'
)
MARKS: Final = {
    "restated": Markup('<path d="M0-5 5 0 0 5-5 0z"/>'),
    "questioned": Markup('<circle r="5.5"/><text y="3.5" text-anchor="middle">?</text>'),
}
"""Around the point that they mark."""


@dataclass(frozen=True, slots=True)
class _Chart:
    days: Sequence[Day]
    legend: Sequence[Series]
    drawn: Sequence[Series]
    """The same series, summed up where the chart is."""
    scale: Scale
    formats: Formats
    link: Callable[[date], str]

    @property
    def slot(self) -> float:
        """Percent of the width that a day has."""
        return 100 / len(self.days)

    @property
    def bar(self) -> float:
        return self.slot * (0.5 if len(self.days) <= WIDE else 0.76)

    def stack(self, place: int) -> list[Segment]:
        return segments([series.usd[place] for series in self.drawn], self.scale)

    def top(self, place: int) -> float:
        """Of the day's stack, or of the line of zero."""
        return min([part.y for part in self.stack(place)] or [self.scale.y(Decimal(0))])


def stacked(
    days: Sequence[Day],
    legend: Sequence[Series],
    kind: Kind,
    formats: Formats,
    *,
    title: str,
    description: str,
    link: Callable[[date], str],
) -> Markup:
    """An `svg` as wide as its place and 292 pixels high; nothing where there is no day.

    `legend` is what `folded(days)` gives. Each day is a link with a text that has the day's list and total, a line each
    and an amount before its name. `link` gives the page of a day; its former values are at `#before` of it.
    """
    if not days:
        return Markup("")
    drawn = _summed_up(legend) if kind == "cumulative" else legend
    sums = (edge for place in range(len(days)) for edge in extremes([series.usd[place] for series in drawn]))
    chart = _Chart(days, legend, drawn, scale_of(sums), formats, link)
    body = areas(days, drawn, chart.scale, unbroken=kind == "cumulative") if kind != "bar" else Markup("")
    columns = Markup("").join(_column(chart, place, bars=kind == "bar") for place in range(len(days)))
    return Markup(
        '<svg class="chart" role="group" aria-labelledby="chart-title chart-description" width="100%" height="{}">'
        '<title id="chart-title">{}</title><desc id="chart-description">{}</desc>{}'
        '<g transform="translate(0 {})">{}{}{}{}{}</g></svg>'
    ).format(
        TOP + HEIGHT + BOTTOM,
        title,
        description,
        HATCH,
        TOP,
        _axis(chart),
        _unread(chart, chart.bar if kind == "bar" else chart.slot),
        body,
        columns,
        _day_labels(chart),
    )


def _summed_up(legend: Sequence[Series]) -> list[Series]:
    return [Series(one.name, one.colour, tuple(accumulate(one.usd)), one.names) for one in legend]


def _axis(chart: _Chart) -> Markup:
    line = Markup(
        '<line class="{}" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
        '<text class="tick" x="-10" y="{below:.1f}" text-anchor="end" aria-hidden="true">{}</text>'
    )
    ys = [(usd, chart.scale.y(usd)) for usd in chart.scale.ticks]
    return Markup("").join(
        line.format("line" if usd else "line base", chart.formats.tick(usd), y=y, below=y + 4) for usd, y in ys
    )


def _unread(chart: _Chart, width: float) -> Markup:
    """Behind everything that is known: what is missing of a day does not hide the rest."""
    rect = Markup('<rect class="hatched" x="{:.3f}%" width="{:.3f}%" height="{}"/>')
    return Markup("").join(
        rect.format(place * chart.slot + (chart.slot - width) / 2, width, HEIGHT)
        for place, day in enumerate(chart.days)
        if not day.covered
    )


def _day_labels(chart: _Chart) -> Markup:
    """Every second one has a class by which a phone leaves it out."""
    text = Markup('<text class="{}" x="{:.3f}%" y="{}" text-anchor="middle" aria-hidden="true">{}</text>')
    return Markup("").join(
        text.format(
            "tick second" if number % 2 else "tick",
            (place + 0.5) * chart.slot,
            HEIGHT + 20,
            chart.formats.short_day(chart.days[place].day),
        )
        for number, place in enumerate(labelled([day.day for day in chart.days]))
    )


def labelled(days: Sequence[date]) -> list[int]:
    """Places of the days with a label: at most 7, equally far apart; Mondays where that is whole weeks."""
    step = -(-len(days) // MOST_LABELS)
    if step < WIDE // 2:
        return list(range((len(days) - 1) % step, len(days), step))
    step = -(-step // 7) * 7
    return list(range(-days[0].weekday() % 7, len(days), step))


def _column(chart: _Chart, place: int, *, bars: bool) -> Markup:
    day, slot = chart.days[place], chart.slot
    return Markup(
        '<a class="day" href="{}" tabindex="{}" aria-label="{}" data-colours="{}"><title>{}</title>'
        '<rect class="hit" x="{:.3f}%" width="{:.3f}%" y="-{top}" height="{height}"/>{}</a>{}'
    ).format(
        chart.link(day.day),
        0 if place == len(chart.days) - 1 else -1,
        _label(day, chart.formats),
        " ".join(str(series.colour) for series in chart.legend if series.usd[place]),
        "\n".join(_lines(chart, place)),
        place * slot,
        slot,
        Markup("").join(_drawn(chart, place, bars=bars)),
        Markup("").join(_marks(chart, place)),
        top=TOP,
        height=HEIGHT + TOP,
    )


def _label(day: Day, formats: Formats) -> str:
    figure = formats.money(day.usd) if day.usd is not None else None
    return f"{formats.day(day.day)}: {', '.join(part for part in (figure, *day.states) if part)}"


def _lines(chart: _Chart, place: int) -> Iterator[str]:
    """The day and its marks, its total, then each series with a cost and, last, why it was not read."""
    day, money = chart.days[place], chart.formats.money
    yield f"{chart.formats.day(day.day)}\t{', '.join(day.states)}"
    yield f"{money(day.usd)}\tTotal"
    for series in chart.legend:
        if series.usd[place]:
            yield f"{money(series.usd[place])}\t{' '.join(series.name.split())}"
    if not day.covered:
        yield f"\t{day.why or 'This day was not read.'}"


def _drawn(chart: _Chart, place: int, *, bars: bool) -> Iterator[Markup]:
    day = chart.days[place]
    left = place * chart.slot + (chart.slot - chart.bar) / 2
    rect = Markup('<rect class="{}" x="{:.3f}%" width="{:.3f}%" y="{:.2f}" height="{:.2f}"/>')
    if day.usd is not None and not any(series.usd[place] for series in chart.legend):
        yield rect.format("zero", left, chart.bar, chart.scale.y(Decimal(0)) - LEAST, LEAST)
    if bars:
        yield from _bar(chart, place, left, rect)
    elif day.provisional:
        yield rect.format("veil", place * chart.slot, chart.slot, 0, HEIGHT)


def _bar(chart: _Chart, place: int, left: float, rect: Markup) -> Iterator[Markup]:
    """Parts that are high enough have a gap between them."""
    parts, provisional = chart.stack(place), chart.days[place].provisional
    for part in parts:
        name = f"c{chart.legend[part.series].colour}{' faded' if provisional else ''}"
        gap = 1 if part.height > 2 * LEAST else 0
        yield rect.format(name, left, chart.bar, part.y + gap, part.height - gap)
    if provisional and parts:
        bottom = max(part.y + part.height for part in parts)
        yield rect.format("dashed", left, chart.bar, chart.top(place), bottom - chart.top(place))


def _marks(chart: _Chart, place: int) -> Iterator[Markup]:
    """Above the column; the one of a restated day opens what the day cost before."""
    day = chart.days[place]
    shown = [name for name, has in (("restated", day.restated), ("questioned", day.questioned)) if has]
    for above, name in enumerate(shown):
        yield Markup(
            '<a class="mark {}" href="{}#before" tabindex="-1" aria-label="{}"><title>{}</title>'
            '<svg x="{:.3f}%" y="{:.2f}" overflow="visible">{}</svg></a>'
        ).format(
            name,
            chart.link(day.day),
            f"{chart.formats.day(day.day)}: {_sentence(name)}",
            _sentence(name),
            (place + 0.5) * chart.slot,
            max(chart.top(place) - 10, 0) - 13 * above,
            MARKS[name],
        )


def _sentence(mark: str) -> str:
    return {
        "restated": "xAI has restated this day: see what it cost before",
        "questioned": "xAI reports far less than before; the former figure is shown until it has repeated that",
    }[mark]
