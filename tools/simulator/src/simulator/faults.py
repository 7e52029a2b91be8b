"""Faults that a test scripts: a queue, each entry for the next requests that match it."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from simulator.answer import Shape
from simulator.question import Question

LARGEST_BOMB = 256 * 1024 * 1024

Milliseconds = Annotated[int, Field(ge=0, le=600_000)]


class Fault(BaseModel):
    """What goes wrong, and with which requests; the fields combine, and without any of them all goes well."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    team_id: str | None = None
    """None: any team's requests."""
    day: date | None = None
    """Only requests whose range holds this UTC day."""
    times: int | None = Field(default=1, ge=1)
    """How many requests it meets; None: until it is cleared."""

    status: int | None = Field(default=None, ge=200, le=599)
    headers: dict[str, str] = {}
    body: str | None = None
    """In place of the answer, as it is."""
    html: bool = False
    """A gateway's page in place of the answer."""
    redirect: str | None = None
    gzip_bomb: int | None = Field(default=None, ge=1, le=LARGEST_BOMB)
    """Bytes that the answer has once it is decompressed."""
    limit_reached: bool = False
    """The answer is cut: half of its series, and limitReached."""
    limit_reached_over_days: int | None = Field(default=None, ge=0)
    """The same, and only for ranges of more days than this: others do not meet the fault."""
    extra: frozenset[Shape] = frozenset()

    delay_ms: Milliseconds | None = None
    """In place of the usual delay."""
    drip_ms: Milliseconds | None = None
    """Between any two bytes of the body."""
    cut_after_bytes: int | None = Field(default=None, ge=0)
    """The connection ends after so many bytes of the body, short of what was promised."""
    hang: bool = False
    """No answer ever."""
    reset: bool = False
    """The connection is dropped without an answer."""

    @property
    def is_cut(self) -> bool:
        return self.limit_reached or self.limit_reached_over_days is not None

    def meets(self, team_id: str, question: Question | None) -> bool:
        """Tell whether it applies; `question` is None for a request that was refused."""
        return self.team_id in {None, team_id} and self._meets_range(question)

    def _meets_range(self, question: Question | None) -> bool:
        if question is None:
            return self.day is None and self.limit_reached_over_days is None
        held = self.day is None or question.first_day <= self.day <= question.last_day
        return held and question.days > (self.limit_reached_over_days or 0)


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
        """Give what is still to come, `times` being what is left of them."""
        return [entry.fault.model_copy(update={"times": entry.left}) for entry in self._queue]

    def take(self, team_id: str, question: Question | None) -> Fault:
        """Take the first that meets the request, and count it down; one without any effect if there is none."""
        for entry in self._queue:
            if entry.fault.meets(team_id, question):
                self._count_down(entry)
                return entry.fault
        return Fault()

    def _count_down(self, entry: _Entry) -> None:
        if entry.left is not None:
            entry.left -= 1
            if not entry.left:
                self._queue.remove(entry)
