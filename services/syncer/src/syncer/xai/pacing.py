"""How often a process calls xAI: a limit of its own, and hardly a call while xAI itself fails."""

import time
from collections.abc import Callable
from datetime import datetime

import structlog
from common.metrics import CIRCUIT_OPEN, XAI_OTHER_DAYS
from common.rate_limits import SECOND, Limiter, Rate
from contract.problems import Code

from syncer.domain import REFUSALS_AFTER
from syncer.provider import ReadError, ReadOtherDaysError, ReadRefusedError, ReadTransientError
from syncer.xai.circuit_breaker import CircuitBreaker

log = structlog.get_logger()

OUTAGE_AFTER = 5
"""Teams that got no answer, one after another, with no answer between them: xAI is unavailable."""
OTHER_DAYS_AFTER = 5
"""Teams whose answers were about other days than requested, with no good answer between them."""
OVERALL = "all"
UNLIMITED = Rate(1_000_000, 1)
OUR_FAULTS = frozenset({Code.KEY_UNAVAILABLE, Code.INTERNAL})
"""Codes of failures that show nothing about xAI."""


class CallLimits:
    """The pacing of xAI."""

    def __init__(
        self,
        overall: Rate = UNLIMITED,
        per_team: Rate = UNLIMITED,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`clock`: nanoseconds that never go back."""
        self._overall = Limiter(overall, "", clock)
        self._team_rate = per_team
        self._circuits = {
            "outage": CircuitBreaker(OUTAGE_AFTER, lambda: clock() / SECOND),
            "refusals": CircuitBreaker(REFUSALS_AFTER, lambda: clock() / SECOND),
        }
        for kind in self._circuits:
            CIRCUIT_OPEN.labels(kind).set(0)
        self._other_days: set[str] = set()

    @property
    def per_team(self) -> Rate:
        return self._team_rate

    def may_claim(self) -> int:
        if self._circuit_wait():
            return 0
        tokens = self._overall.tokens(OVERALL)
        return min(tokens, 1) if any(circuit.is_open for circuit in self._circuits.values()) else tokens

    def note_claim(self) -> None:
        self._overall.wait(OVERALL)

    def wait(self) -> float:
        if wait := self._circuit_wait():
            return wait
        for circuit in self._circuits.values():
            circuit.record_probe()
        return 0.0

    def record(self, team_id: str, error: ReadError | None, at: datetime) -> datetime | None:
        self._record_other_days(team_id, error)
        over = []
        for kind, circuit in self._circuits.items():
            is_well = _shows_well(kind, error)
            if is_well is False and circuit.record_failure(team_id, at):
                self._report(kind, "circuit.opened")
            if is_well is True and (since := circuit.record_success()):
                self._report(kind, "circuit.closed")
                over.append(since)
        return min(over, default=None)

    def _record_other_days(self, team_id: str, error: ReadError | None) -> None:
        """One team may be odd; where several are, the request or its reader is wrong, and an operator must know."""
        if error is None:
            self._other_days.clear()
        elif isinstance(error, ReadOtherDaysError) and team_id not in self._other_days:
            self._other_days.add(team_id)
            if len(self._other_days) == OTHER_DAYS_AFTER:
                log.error("xai.answers_other_days", teams=OTHER_DAYS_AFTER)
        XAI_OTHER_DAYS.set(len(self._other_days) >= OTHER_DAYS_AFTER)

    def _circuit_wait(self) -> float:
        return max(circuit.wait() for circuit in self._circuits.values())

    def _report(self, kind: str, event: str) -> None:
        CIRCUIT_OPEN.labels(kind).set(self._circuits[kind].is_open)
        log.warning(event, kind=kind)


def _shows_well(kind: str, error: ReadError | None) -> bool | None:
    """Whether the end of a reading shows that xAI, or (`refusals`) its authentication, works; None: it shows neither."""
    if error is None:
        return True
    if isinstance(error, ReadTransientError):
        return False if kind == "outage" and error.code not in OUR_FAULTS else None
    if isinstance(error, ReadRefusedError):
        return kind == "outage"
    return True if kind == "outage" else None
