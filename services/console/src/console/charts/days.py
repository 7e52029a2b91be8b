"""What a chart is drawn from: days as the ledger answers them, with the marks that they carry."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Part:
    """What one model, or whatever the chart is broken down by, cost on a day."""

    name: str
    """Hostile input: any text."""
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Day:
    """A UTC day as it is drawn."""

    day: date
    usd: Decimal | None
    """The ledger's sum of what is known; None where nothing is."""
    parts: tuple[Part, ...] = ()
    """Sum to `usd`; several of one name are one part of the column."""
    covered: bool = True
    """Every expected integration has read it. A day that is not covered is hatched, whatever is known of it."""
    why: str | None = None
    """Why it is not covered, as a sentence."""
    provisional: bool = False
    restated: bool = False
    questioned: bool = False

    @property
    def states(self) -> list[str]:
        """In words; none for a plain day that is read and final."""
        return list(self._states())

    def amounts(self) -> dict[str, Decimal]:
        """USD by name."""
        amounts: dict[str, Decimal] = {}
        for part in self.parts:
            amounts[part.name] = amounts.get(part.name, Decimal(0)) + part.usd
        return amounts

    def _states(self) -> Iterator[str]:
        if not self.covered:
            yield "not read" if self.usd is None else "not read completely"
        elif not self.usd:
            yield "read, no cost"
        if self.provisional and self.covered:
            yield "provisional"
        if self.restated:
            yield "restated"
        if self.questioned:
            yield "asked again"
