"""What is known of each day of an account, and the figures that follow. Pure: no I/O, no clock, no framework."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

from contract.money import EXACT, total

from ledger.periods import Span

SHARE_PLACES = Decimal("0.0001")
"""Shares and changes are ratios, given to 4 places."""
AVERAGE_PLACES = Decimal("1E-10")
"""An average is the nearest tick: 1 US dollar has 10,000,000,000 of them."""


@dataclass(frozen=True, slots=True)
class DayFigure:
    """One UTC day of an account, over its integrations."""

    day: date
    usd: Decimal | None
    """Sum of what is known; None where nothing is."""
    expected: int
    """Integrations that are expected to have the day."""
    read: int
    """Of these, the ones that have it, read after the day's end (today: ever)."""
    provisional: bool = False
    """One of its readings was made less than 7 days after its end."""

    @property
    def covered(self) -> bool:
        return 0 < self.expected == self.read


@dataclass(frozen=True, slots=True)
class Change:
    """A comparison of two spans of finished days."""

    share: Decimal | None
    """(now - before) / before; None where there is no comparison."""
    why: str | None
    """Why there is none, as a sentence; None where there is one."""


def known(days: Iterable[DayFigure]) -> Decimal | None:
    """The exact sum of what is known; None where nothing is."""
    amounts = [one.usd for one in days if one.usd is not None]
    return total(amounts) if amounts else None


def daily_average(days: Sequence[DayFigure]) -> Decimal | None:
    """Over the covered ones of finished `days`, to the nearest tick (half-even); None where none is covered."""
    covered = [one.usd for one in days if one.covered and one.usd is not None]
    if not covered:
        return None
    return ratio(total(covered), Decimal(len(covered)), AVERAGE_PLACES)


def change(now: Sequence[DayFigure], before: Sequence[DayFigure]) -> Change:
    """Between two spans of finished days of equal length; none where a day of either is not covered."""
    if not now:
        return Change(None, "No day of this period is over.")
    for days, name in ((now, "this period"), (before, "the period before")):
        missing = sum(not one.covered for one in days)
        if missing:
            return Change(None, f"{_days(missing)} of {name} {'was' if missing == 1 else 'were'} not read.")
    return Change(*_change(known(now), known(before)))


def change_of(now: Decimal, before: Decimal) -> Decimal | None:
    """The change of one amount; None where the one before is not above zero."""
    return _change(now, before)[0]


def ratio(part: Decimal, whole: Decimal, places: Decimal = SHARE_PLACES) -> Decimal:
    """`part / whole`, rounded half-even; the one place where a report divides."""
    with_room = EXACT.copy()
    with_room.clear_traps()
    return with_room.divide(part, whole).quantize(places, ROUND_HALF_EVEN, with_room)


def _change(now: Decimal | None, before: Decimal | None) -> tuple[Decimal | None, str | None]:
    if now is None or before is None or before <= 0:
        return None, "The period before cost nothing."
    return ratio(now - before, before), None


def _days(number: int) -> str:
    return f"{number} day" if number == 1 else f"{number} days"


def days_in(span: Span | None, figures: Mapping[date, DayFigure]) -> list[DayFigure]:
    """The figures of the span's days, in order; a day that is not among them is not expected."""
    return [figures.get(day) or DayFigure(day, None, 0, 0) for day in span] if span else []
