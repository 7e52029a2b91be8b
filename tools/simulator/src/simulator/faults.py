"""Faults scripted by a test: a queue, each entry for the next requests that match it."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from simulator.query import UsageQuery
from simulator.usage_json import Shape

LARGEST_BOMB = 256 * 1024 * 1024

Milliseconds = Annotated[int, Field(ge=0, le=600_000)]


class Fault(BaseModel):
    """A fault and the requests that it applies to; the fields combine, and without any of them there is no fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    team_id: str | None = None
    """None: any team's requests."""
    day: date | None = None
    """Only requests for a range that includes this UTC day."""
    times: int | None = Field(default=1, ge=1)
    """Number of requests that it applies to; None: until it is cleared."""

    status: int | None = Field(default=None, ge=200, le=599)
    headers: dict[str, str] = {}
    body: str | None = None
    """Replaces the body of the answer."""
    html: bool = False
    """Replaces the answer with the page of a gateway."""
    redirect: str | None = None
    gzip_bomb: int | None = Field(default=None, ge=1, le=LARGEST_BOMB)
    """Size of the decompressed answer in bytes."""
    limit_reached: bool = False
    """The answer is cut: half of its series, and limitReached."""
    limit_reached_over_days: int | None = Field(default=None, ge=0)
    """The same, but only for ranges of more days than this: the fault does not apply to others."""
    extra: frozenset[Shape] = frozenset()
    shift_hours: int = Field(default=0, ge=-23, le=23)
    """Points are stamped so many hours after the beginning of their day."""
    only_series: int | None = Field(default=None, ge=0)
    """The answer has only the first ones of its series, and does not say so."""
    begins_over_days_ago: int | None = Field(default=None, ge=0)
    """Only requests for a range that begins more days before today than this: the fault does not apply to others."""

    delay_ms: Milliseconds | None = None
    """Replaces the usual delay."""
    drip_ms: Milliseconds | None = None
    """Pause between any two bytes of the body."""
    cut_after_bytes: int | None = Field(default=None, ge=0)
    """The connection ends after so many bytes of the body, before its announced length."""
    hang: bool = False
    """The request is never answered."""
    reset: bool = False
    """The connection is dropped without an answer."""

    @property
    def is_cut(self) -> bool:
        return self.limit_reached or self.limit_reached_over_days is not None

    def applies_to(self, team_id: str, query: UsageQuery | None, today: date) -> bool:
        """`query` is None for a request that was refused."""
        return self.team_id in {None, team_id} and self._applies_to_range(query, today)

    def _applies_to_range(self, query: UsageQuery | None, today: date) -> bool:
        if query is None:
            return self.day is None and self.limit_reached_over_days is None and self.begins_over_days_ago is None
        includes_day = self.day is None or query.first_day <= self.day <= query.last_day
        is_old = self.begins_over_days_ago is None or (today - query.first_day).days > self.begins_over_days_ago
        return includes_day and is_old and query.days > (self.limit_reached_over_days or 0)


@dataclass(slots=True)
class _Entry:
    fault: Fault
    left: int | None


class Faults:
    def __init__(self) -> None:
        self._queue: list[_Entry] = []

    def add(self, fault: Fault) -> None:
        self._queue.append(_Entry(fault, fault.times))

    def clear(self) -> None:
        self._queue.clear()

    def waiting(self) -> list[Fault]:
        """The faults that still apply; `times` is what remains of each."""
        return [entry.fault.model_copy(update={"times": entry.left}) for entry in self._queue]

    def take(self, team_id: str, query: UsageQuery | None, today: date) -> Fault:
        """Take the first fault that applies to the request, and count it down; without one, a fault with no effect."""
        for entry in self._queue:
            if entry.fault.applies_to(team_id, query, today):
                self._count_down(entry)
                return entry.fault
        return Fault()

    def _count_down(self, entry: _Entry) -> None:
        if entry.left is not None:
            entry.left -= 1
            if not entry.left:
                self._queue.remove(entry)
