"""The days of a chart, put together from what ledger and connector answer. Pure: no amount is added up here."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from uuid import UUID

from contract.rules import readable_from

from console.charts import Day, Part
from console.schemas import Card, Costs, DailyBreakdown, DayCosts

NAMED = 3
"""Integrations that a sentence names."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Days in a row that lack the same integrations."""

    first: date
    last: date
    why: str
    can_be_read: bool
    """xAI still has figures of these days, and an integration is there to read them."""


def drawn(costs: Costs, breakdown: DailyBreakdown, cards: Sequence[Card]) -> list[Day]:
    """Each day with its models and its marks."""
    questioned = {day for card in cards for day in card.questioned_days}
    return [
        Day(
            day.day,
            day.usd,
            tuple(_parts(breakdown, day)),
            covered=day.covered,
            why=None if day.covered else why(day.missing, cards),
            provisional=day.provisional,
            restated=day.restated,
            questioned=day.day in questioned,
        )
        for day in costs.days
    ]


def _parts(breakdown: DailyBreakdown, day: DayCosts) -> Iterator[Part]:
    place = (day.day - breakdown.first).days
    for row in breakdown.rows:
        if 0 <= place < len(row.daily) and row.daily[place]:
            yield Part(row.model, row.daily[place])


def why(missing: Collection[UUID], cards: Sequence[Card]) -> str:
    """Why a day is not covered, as a sentence."""
    if not missing:
        return "No team was connected for this day."
    named = [f"{card.label} ({card.status_text})" for card in cards if card.integration_id in missing]
    if len(named) > NAMED:
        return f"{len(missing)} teams have not been read, {named[0]} among them."
    return f"Not read: {', '.join(named) or 'a team that was removed'}."


def gaps(costs: Costs, cards: Sequence[Card], today: date) -> list[Gap]:
    """Days that are not covered, the last ones first; none where no team was expected to have them."""
    known = {card.integration_id for card in cards}
    incomplete = [day for day in costs.days if not day.covered and day.missing]
    found = []
    for missing, days in groupby(incomplete, key=lambda day: frozenset(day.missing)):
        for first, last in _runs([day.day for day in days]):
            readable = last >= readable_from(today) and bool(missing & known)
            found.append(Gap(first, last, why(missing, cards), readable))
    return found[::-1]


def _runs(days: Sequence[date]) -> Iterator[tuple[date, date]]:
    for _, run in groupby(enumerate(days), key=lambda one: one[1] - timedelta(days=one[0])):
        followed = [day for _, day in run]
        yield followed[0], followed[-1]
