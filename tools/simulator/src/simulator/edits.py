"""What a test changes in the costs of a team. Edits apply in the order in which they were made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

from simulator.costs import EXACT, ZERO, add, amount


class Edit(Protocol):
    def __call__(self, day: date, costs: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        """Make of a day's costs what they are after the edit."""


@dataclass(frozen=True, slots=True)
class Restate:
    """The day costs this and nothing else, at once: nothing of it arrives late."""

    day: date
    costs: Mapping[str, Decimal]

    def __call__(self, day: date, costs: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        return self.costs if day == self.day else costs


@dataclass(frozen=True, slots=True)
class Scale:
    """Every amount of the day is multiplied."""

    day: date
    factor: Decimal

    def __call__(self, day: date, costs: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        if day != self.day:
            return costs
        return {label: EXACT.multiply(usd, self.factor) for label, usd in costs.items()}


@dataclass(frozen=True, slots=True)
class Relabel:
    """A label is called otherwise, or vanishes with its amounts; on all days, or from one on."""

    label: str
    becomes: str | None
    from_day: date | None = None

    def __call__(self, day: date, costs: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        if self.label not in costs or (self.from_day and day < self.from_day):
            return costs
        rest = {label: usd for label, usd in costs.items() if label != self.label}
        if self.becomes is not None:
            rest[self.becomes] = add(rest.get(self.becomes, ZERO), costs[self.label])
        return rest


@dataclass(frozen=True, slots=True)
class NewModel:
    """A label costs something every day from `from_day` on, beside what was there."""

    seed: int
    team_id: str
    label: str
    from_day: date

    def __call__(self, day: date, costs: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        if day < self.from_day:
            return costs
        drawn = amount(self.seed, self.team_id, day, self.label) or Decimal("0.0000001")
        return {**costs, self.label: add(costs.get(self.label, ZERO), drawn)}
