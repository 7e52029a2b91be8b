"""What became of the messages of a batch, each counted once. Pure: no I/O, no clock, no framework."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from contract.messages import CostRecorded, WindowRead


@dataclass(slots=True)
class Erased:
    """What was passed over of one integration, because its history was erased."""

    first_day: date
    last_day: date
    cost_recorded: int = 0
    """Messages: a day may have been read more than once."""
    window_read: int = 0

    def add(self, other: "Erased") -> None:
        """Take in what else was passed over of the same integration."""
        self.first_day, self.last_day = min(self.first_day, other.first_day), max(self.last_day, other.last_day)
        self.cost_recorded += other.cost_recorded
        self.window_read += other.window_read


@dataclass(slots=True)
class Tally:
    """Counts by what became of a message; `counts` sums to the number of messages."""

    applied: int = 0
    """Days that were written."""
    older: int = 0
    """Days of which the same or a newer reading stood."""
    judged: int = 0
    """Windows."""
    dead_lettered: int = 0
    erased: dict[UUID, Erased] = field(default_factory=dict)

    def pass_over(self, messages: Iterable[CostRecorded | WindowRead]) -> None:
        """Count messages of erased integrations."""
        for message in messages:
            self._add(message.integration_id, _passed_over(message))

    def add(self, other: "Tally") -> None:
        """Take in what became of other messages."""
        self.applied, self.older = self.applied + other.applied, self.older + other.older
        self.judged, self.dead_lettered = self.judged + other.judged, self.dead_lettered + other.dead_lettered
        for integration_id, erased in other.erased.items():
            self._add(integration_id, erased)

    def _add(self, integration_id: UUID, erased: Erased) -> None:
        self.erased.setdefault(integration_id, Erased(erased.first_day, erased.last_day)).add(erased)

    @property
    def counts(self) -> dict[str, int]:
        """By name."""
        passed_over = sum(one.cost_recorded + one.window_read for one in self.erased.values())
        return {
            "applied": self.applied,
            "older": self.older,
            "judged": self.judged,
            "erased": passed_over,
            "dead_lettered": self.dead_lettered,
        }


def _passed_over(message: CostRecorded | WindowRead) -> Erased:
    if isinstance(message, CostRecorded):
        return Erased(message.day, message.day, cost_recorded=1)
    return Erased(message.first_day, message.last_day, window_read=1)
