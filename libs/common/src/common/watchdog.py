"""Liveness by progress: a loop beats after every attempt, also a failed one; a loop without beats is stuck."""

import os
import signal
import time
from collections.abc import Callable

import structlog

from common.metrics import PROGRESS_AGE

log = structlog.get_logger()

STALLED_AFTER = 30.0
"""Seconds: a statement may take 15, a handler 20 after a pause of 6. A supervisor has to act within 15 s more."""


class Watchdog:
    """Watches the loops of a process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ended: dict[str, float] = {}
        self._limits: dict[str, float] = {}
        self._probes: list[Callable[[], str | None]] = []
        self._failed: str | None = None

    def register(self, loop: str, within: float = STALLED_AFTER) -> None:
        """From now on `loop` has to beat every `within` seconds."""
        self._limits[loop] = within
        self.beat(loop)
        PROGRESS_AGE.labels(loop).set_function(lambda: self.age(loop))

    def beat(self, loop: str) -> None:
        """`loop` finished an attempt, with success or not."""
        self._ended[loop] = self._clock()

    def age(self, loop: str) -> float:
        """Seconds since the last beat of `loop`; without one, since the first call of this."""
        now = self._clock()
        return now - self._ended.setdefault(loop, now)

    def probe(self, check: Callable[[], str | None]) -> None:
        """`check` returns a problem, or None; called at every liveness request."""
        self._probes.append(check)

    def fail(self, reason: str) -> None:
        """This process cannot continue: end it, so that the supervisor starts it again."""
        log.error("process.failed", reason=reason)
        self._failed = reason
        os.kill(os.getpid(), signal.SIGTERM)

    def stalled(self) -> list[str]:
        """Messages about everything that is stuck; empty while the process is alive."""
        found = [
            f"{loop} has finished no attempt for {self.age(loop):.0f} s"
            for loop, limit in self._limits.items()
            if self.age(loop) > limit
        ]
        found += [problem for check in self._probes if (problem := check())]
        return [self._failed, *found] if self._failed else found
