"""When many teams fail one after another, xAI itself fails: one call in a while probes whether that is over."""

from collections.abc import Callable
from datetime import datetime, timedelta

FIRST_PAUSE = 5.0
"""Seconds from opening to the first probe; each probe that fails doubles them."""
LONGEST_PAUSE = 20.0
"""With a call that hangs until its deadline (30 s), xAI is found available again in less than a minute."""
REMEMBERED = timedelta(minutes=5)
"""Failures that are further apart have nothing to do with each other."""


class CircuitBreaker:
    """Opens when `opens_after` teams have failed without a success between them."""

    def __init__(self, opens_after: int, clock: Callable[[], float]) -> None:
        """`clock`: seconds that never go back."""
        self._opens_after = opens_after
        self._clock = clock
        self._failed: dict[str, datetime] = {}
        self._pause = FIRST_PAUSE
        self._probe_at: float | None = None
        self._probing = False
        self._since: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self._probe_at is not None

    def wait(self) -> float:
        """Seconds until a call may be made; 0: now."""
        return 0.0 if self._probe_at is None else max(self._probe_at - self._clock(), 0.0)

    def record_probe(self) -> None:
        """A call is being made; while the circuit is open no other is, until the pause is over."""
        if self._probe_at is not None:
            self._probe_at, self._probing = self._clock() + self._pause, True

    def record_failure(self, team_id: str, at: datetime) -> bool:
        """A call for this team failed; answers whether that opened the circuit.

        Calls that were in flight when it opened are no probes: they change nothing.
        """
        if self._probe_at is not None:
            if self._probing:
                self._pause = min(self._pause * 2, LONGEST_PAUSE)
                self._probe_at, self._probing = self._clock() + self._pause, False
            return False
        self._failed = {team: when for team, when in self._failed.items() if at - when < REMEMBERED} | {team_id: at}
        if len(self._failed) < self._opens_after:
            return False
        self._since = min(self._failed.values())
        self._probe_at = self._clock() + self._pause
        return True

    def record_success(self) -> datetime | None:
        """A call succeeded; where that closes the circuit, answers when the first failure was."""
        since = self._since
        self._failed, self._since, self._probe_at, self._pause, self._probing = {}, None, None, FIRST_PAUSE, False
        return since
