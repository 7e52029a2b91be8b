"""What this process knows of the brokers: which of them are unavailable, and whether records are acknowledged."""

import logging
import math
import time
from collections.abc import Callable

import structlog

from common.errors import TransientError

log = structlog.wrap_logger(logging.getLogger("aiokafka.brokers"))
"""Commands, which print one sentence where a broker is unavailable, switch off what aiokafka logs."""

Server = tuple[str, int]
"""Host and port."""

RETRY_SECONDS = 2
"""Between two attempts, and between two looks at the cluster, while no record is acknowledged."""
STUCK_SECONDS = 15.0
"""After so long without any acknowledgement, publishing does not work."""

unavailable: set[Server] = set()
"""Brokers whose last connection failed or answered too late, of all clients of this process."""


def note(server: Server | None, *, answers: bool, error: str = "TimeoutError") -> None:
    """A server answered or did not; a change is logged once, whichever client saw it."""
    if server is None or (server in unavailable) is not answers:
        return
    if answers:
        unavailable.discard(server)
        log.warning("broker.available", server=f"{server[0]}:{server[1]}")
    else:
        unavailable.add(server)
        log.warning("broker.unavailable", server=f"{server[0]}:{server[1]}", error=error)


class Acknowledgements:
    """Whether records are acknowledged: no longer when one has waited for STUCK_SECONDS, and none was meanwhile."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = -math.inf
        self._missing_since: float | None = None
        self._next = dict[str, float]()

    def missing(self) -> TransientError | None:
        """The problem while none is acknowledged."""
        if self._missing_since is None:
            return None
        waited = self._clock() - self._missing_since
        return TransientError(f"no record was acknowledged for {waited:.0f} s", retry_after=RETRY_SECONDS)

    def is_due(self, what: str) -> bool:
        """Whether RETRY_SECONDS have passed since this was last true for `what`."""
        now = self._clock()
        if now < self._next.get(what, now):
            return False
        self._next[what] = now + RETRY_SECONDS
        return True

    def begin(self) -> float:
        """When an attempt begins. Raises TransientError while none is acknowledged, except once in RETRY_SECONDS."""
        if (missing := self.missing()) and not self.is_due("attempt"):
            raise missing
        return self._clock()

    def came(self) -> None:
        """A record was acknowledged, or would be."""
        self._last, self._missing_since = self._clock(), None

    def failed(self, begun: float) -> None:
        """An attempt that began then was not acknowledged within its deadline."""
        if self._last < begun <= self._clock() - STUCK_SECONDS and self._missing_since is None:
            self._missing_since = begun
