"""A calendar of squares, a column a week from Monday to Sunday: which days were read, and roughly what they cost."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from markupsafe import Markup

from console.charts.days import Day
from console.charts.stacked import HATCH
from console.formats import Formats

CELL: Final = 20
"""Pixels of a square with its gap."""
LEFT, TOP = 34, 20
LEVELS: Final = 4
"""Shades of a cost, by its share of the dearest day."""


def calendar(
    days: Sequence[Day], formats: Formats, *, title: str, description: str, link: Callable[[date], str]
) -> Markup:
    """An `svg` of 90 days is 314 pixels wide; nothing where there is no day. Days follow each other without a gap."""
    if not days:
        return Markup("")
    monday = days[0].day - timedelta(days=days[0].day.weekday())
    dearest = max((day.usd for day in days if day.usd), default=Decimal(0))
    cells = Markup("").join(_cell(day, monday, dearest, formats, link, newest=day is days[-1]) for day in days)
    weeks = _column(days[-1].day, monday) + 1
    return Markup(
        '<svg class="calendar" role="group" aria-labelledby="calendar-title calendar-description" width="{}" height="{}">'
        '<title id="calendar-title">{}</title><desc id="calendar-description">{}</desc>{}{}{}</svg>'
    ).format(
        LEFT + weeks * CELL, TOP + 7 * CELL, title, description, HATCH, Markup("").join(_names(days, formats)), cells
    )


def _column(day: date, monday: date) -> int:
    return (day - monday).days // 7


def _cell(
    day: Day, monday: date, dearest: Decimal, formats: Formats, link: Callable[[date], str], *, newest: bool
) -> Markup:
    """The tab key reaches the newest one, and arrows the others."""
    x, y = LEFT + _column(day.day, monday) * CELL, TOP + day.day.weekday() * CELL
    figure = formats.money(day.usd) if day.usd is not None else ""
    text = f"{formats.day(day.day)}: {', '.join(part for part in (figure, *day.states, day.why) if part)}"
    mark = Markup('<path class="mark restated" d="M{} {}h7v7z"/>').format(x + CELL - 10, y + 1) if day.restated else ""
    return Markup(
        '<a class="cell" href="{}" tabindex="{}" aria-label="{text}"><title>{text}</title>'
        '<rect class="{}" x="{}" y="{}" width="{side}" height="{side}" rx="3"/>{}</a>'
    ).format(
        link(day.day),
        0 if newest else -1,
        _classes(day, dearest),
        x + 1,
        y + 1,
        mark,
        text=text,
        side=CELL - 4,
    )


def _classes(day: Day, dearest: Decimal) -> str:
    level = "hatched" if not day.covered else f"level{_level(day.usd or Decimal(0), dearest)}"
    return f"{level} dashed" if day.provisional and day.covered else level


def _level(usd: Decimal, dearest: Decimal) -> int:
    """0 for no cost, 1 to 4 for a cost."""
    return 0 if usd <= 0 else min(LEVELS, 1 + int(LEVELS * usd / dearest))


def _names(days: Sequence[Day], formats: Formats) -> Iterator[Markup]:
    """Of every second weekday, and of each month at its first week."""
    monday = days[0].day - timedelta(days=days[0].day.weekday())
    for row in (0, 2, 4):
        name = formats.weekday(monday + timedelta(days=row))
        yield Markup('<text class="tick" y="{}" aria-hidden="true">{}</text>').format(TOP + row * CELL + 13, name)
    for day in days:
        if day.day.day <= 7 and day.day.weekday() == 0:  # noqa: PLR2004 - the first Monday
            x = LEFT + _column(day.day, monday) * CELL
            yield Markup('<text class="tick" x="{}" y="12" aria-hidden="true">{}</text>').format(
                x, formats.month(day.day)
            )
