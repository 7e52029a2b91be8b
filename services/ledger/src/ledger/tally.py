"""What was done with the messages of a batch, each counted once. Pure: no I/O, no clock, no framework."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from contract.messages import CostRecorded, WindowRead


@dataclass(slots=True)
class Skipped:
    """Messages of one integration that were skipped because its history was erased."""

    first_day: date
    last_day: date
    cost_recorded: int = 0
    """Messages: a day may have been read more than once."""
    window_read: int = 0

    def add(self, other: "Skipped") -> None:
        """Add other messages of the same integration."""
        self.first_day, self.last_day = min(self.first_day, other.first_day), max(self.last_day, other.last_day)
        self.cost_recorded += other.cost_recorded
        self.window_read += other.window_read


@dataclass(slots=True)
class Tally:
    """Counts by result; `counts` sums to the number of messages."""

    applied: int = 0
    """Days that were written."""
    older: int = 0
    """Days whose stored reading is the same or newer."""
    windows: int = 0
    dead_lettered: int = 0
    erased: dict[UUID, Skipped] = field(default_factory=dict)

    def skip(self, messages: Iterable[CostRecorded | WindowRead]) -> None:
        """Count messages of erased integrations."""
        for message in messages:
            self._add(message.integration_id, _skipped(message))

    def add(self, other: "Tally") -> None:
        """Add the counts of other messages."""
        self.applied, self.older = self.applied + other.applied, self.older + other.older
        self.windows, self.dead_lettered = self.windows + other.windows, self.dead_lettered + other.dead_lettered
        for integration_id, skipped in other.erased.items():
            self._add(integration_id, skipped)

    def _add(self, integration_id: UUID, skipped: Skipped) -> None:
        self.erased.setdefault(integration_id, Skipped(skipped.first_day, skipped.last_day)).add(skipped)

    @property
    def counts(self) -> dict[str, int]:
        """Messages by result, with the names of a replay's report."""
        return {
            "applied": self.applied,
            "older": self.older,
            "judged": self.windows,
            "erased": sum(one.cost_recorded + one.window_read for one in self.erased.values()),
            "dead_lettered": self.dead_lettered,
        }


def _skipped(message: CostRecorded | WindowRead) -> Skipped:
    if isinstance(message, CostRecorded):
        return Skipped(message.day, message.day, cost_recorded=1)
    return Skipped(message.first_day, message.last_day, window_read=1)
