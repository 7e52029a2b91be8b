"""A test's changes of a team's costs. Edits apply in the order in which they were made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

from simulator.costs import EXACT, ZERO, add, amount


class Edit(Protocol):
    def __call__(self, day: date, costs: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        """The day's costs after the edit."""


@dataclass(frozen=True, slots=True)
class Restate:
    """Replaces the costs of the day, effective at once: none of them arrives late."""

    day: date
    costs: Mapping[str, Decimal]

    def __call__(self, day: date, costs: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        return self.costs if day == self.day else costs


@dataclass(frozen=True, slots=True)
class Scale:
    """Multiplies every amount of the day."""

    day: date
    factor: Decimal

    def __call__(self, day: date, costs: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        if day != self.day:
            return costs
        return {label: EXACT.multiply(usd, self.factor) for label, usd in costs.items()}


@dataclass(frozen=True, slots=True)
class Add:
    """Adds amounts to the day, as data that arrives late does."""

    day: date
    costs: Mapping[str, Decimal]

    def __call__(self, day: date, costs: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        if day != self.day:
            return costs
        return {**costs, **{label: add(costs.get(label, ZERO), usd) for label, usd in self.costs.items()}}


@dataclass(frozen=True, slots=True)
class Relabel:
    """Renames a label, or removes it with its amounts; on all days, or from one on."""

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
    """Adds a label that costs something on every day from `from_day` on."""

    seed: int
    team_id: str
    label: str
    from_day: date

    def __call__(self, day: date, costs: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        if day < self.from_day:
            return costs
        drawn = amount(self.seed, self.team_id, day, self.label) or Decimal("0.0000001")
        return {**costs, self.label: add(costs.get(self.label, ZERO), drawn)}
