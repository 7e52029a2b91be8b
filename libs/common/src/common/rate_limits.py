"""Rate limits: a token bucket for each key, in each process."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from contract.problems import Code, ProblemError

SECOND = 1_000_000_000
"""In nanoseconds: instants are integers, so that nothing is rounded."""
MAX_KEYS = 10_000
"""Buckets of a limiter, about 2 MB; beyond it the least recently used one is dropped."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` at once; within any s seconds at most `count * (1 + s / seconds)`."""

    count: int
    """At least 1."""
    seconds: int
    """After which an empty bucket is full again; at least 1."""


class Limiter:
    """Limits the rate of each key; rejected attempts do not count."""

    def __init__(
        self, rate: Rate, message: str, clock: Callable[[], int] = time.monotonic_ns, max_keys: int = MAX_KEYS
    ) -> None:
        """`message` explains the limit to people; `clock` returns nanoseconds and is monotonic."""
        self._interval = -(-rate.seconds * SECOND // rate.count)
        self._capacity = self._interval * rate.count
        self._message = message
        self._clock = clock
        self._max_keys = max_keys
        self._full_at: OrderedDict[str, int] = OrderedDict()

    def take(self, key: str) -> None:
        """Take one token of `key`; raises ProblemError (`too_many_requests`) with the time until the next one."""
        if wait := self.wait(key):
            seconds = "1 second" if wait == 1 else f"{wait} seconds"
            headers = {"Retry-After": str(wait)}
            raise ProblemError(Code.TOO_MANY_REQUESTS, f"{self._message} Try again in {seconds}.", headers=headers)

    def wait(self, key: str) -> int:
        """Take one token of `key` and return 0; or, where there is none, the seconds until there is, rounded up."""
        now = self._clock()
        full_at = max(self._full_at.get(key, now), now) + self._interval
        if (early := full_at - now - self._capacity) > 0:
            return -(-early // SECOND)
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        self._forget(now)
        return 0

    def tokens(self, key: str) -> int:
        """How often `wait` would return 0 now; takes nothing."""
        now = self._clock()
        return (self._capacity - max(self._full_at.get(key, now) - now, 0)) // self._interval

    def _forget(self, now: int) -> None:
        """Drop full buckets, and those beyond the maximum."""
        while len(self._full_at) > self._max_keys or next(iter(self._full_at.values())) <= now:
            self._full_at.popitem(last=False)
