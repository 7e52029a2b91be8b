"""How often xAI is asked: limits overall and for each team, and hardly a call while xAI itself fails. Each process for itself."""

import time
from collections.abc import Callable
from datetime import datetime

import structlog
from common.metrics import CIRCUIT_OPEN
from common.rate_limits import SECOND, Limiter, Rate
from contract.problems import Code
from xai_usage import CallFailed, CallRefused, CallTransient

from syncer.domain import REFUSALS_AFTER
from syncer.xai.circuit_breaker import Circuit

log = structlog.get_logger()

OUTAGE_AFTER = 5
"""Teams that got no answer, one after another, with no answer between them: xAI is away."""
OVERALL = "all"
UNLIMITED = Rate(1_000_000, 1)


class Pace:
    """Asked before each call, and told how it ended."""

    def __init__(
        self,
        overall: Rate = UNLIMITED,
        per_team: Rate = UNLIMITED,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`clock`: nanoseconds that never go back."""
        self._overall = Limiter(overall, "", clock)
        self._per_team = Limiter(per_team, "", clock)
        self._circuits = {
            "outage": Circuit(OUTAGE_AFTER, lambda: clock() / SECOND),
            "refusals": Circuit(REFUSALS_AFTER, lambda: clock() / SECOND),
        }

    def may_claim(self) -> bool:
        """Whether a window that needs a call may be claimed now."""
        return not self._closed_for() and not self._overall.wait(OVERALL)

    def wait(self, team_id: str) -> float:
        """Seconds until xAI may be asked about the team; 0: now, and it counts as asked."""
        if wait := self._closed_for() or self._per_team.wait(team_id):
            return wait
        for circuit in self._circuits.values():
            circuit.calls()
        return 0.0

    def ended(self, team_id: str, failure: CallFailed | None, at: datetime) -> datetime | None:
        """How a call observed at `at` ended; where it showed that an outage is over, answers since when it lasted."""
        over = []
        for kind, circuit in self._circuits.items():
            verdict = _verdict(kind, failure)
            if verdict is False and circuit.failed(team_id, at):
                self._say(kind, "circuit.opened")
            if verdict is True and (since := circuit.well()):
                self._say(kind, "circuit.closed")
                over.append(since)
        return min(over, default=None)

    def _closed_for(self) -> float:
        return max(circuit.wait() for circuit in self._circuits.values())

    def _say(self, kind: str, event: str) -> None:
        CIRCUIT_OPEN.labels(kind).set(self._circuits[kind].is_open)
        log.warning(event, kind=kind)


def _verdict(kind: str, failure: CallFailed | None) -> bool | None:
    """What the end of a call says of xAI: well, not well, or nothing."""
    if failure is None:
        return True
    if isinstance(failure, CallTransient):
        return False if kind == "outage" and failure.code is not Code.UNSEALABLE else None
    if isinstance(failure, CallRefused):
        return kind == "outage"
    return True if kind == "outage" else None
