"""How often something may be done: a bucket for each key, refilled evenly. Each process counts for itself."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from contract.problems import Code, ProblemError

SECOND = 1_000_000_000
"""In nanoseconds: instants are whole numbers, so that nothing is rounded."""
MAX_KEYS = 10_000
"""What a limiter remembers, about 2 MB; beyond it the key that was longest not used starts anew."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` at once; within any s seconds at most `count * (1 + s / seconds)`."""

    count: int
    """At least 1."""
    seconds: int
    """After which an empty bucket is full again; at least 1."""


class Limiter:
    """Lets each key do something at a rate; what is refused does not count."""

    def __init__(
        self, rate: Rate, sentence: str, clock: Callable[[], int] = time.monotonic_ns, max_keys: int = MAX_KEYS
    ) -> None:
        """`sentence` tells a person what the limit is; `clock` answers nanoseconds and never goes back."""
        self._interval = -(-rate.seconds * SECOND // rate.count)
        self._room = self._interval * rate.count
        self._sentence = sentence
        self._clock = clock
        self._max_keys = max_keys
        self._full_at: OrderedDict[str, int] = OrderedDict()

    def take(self, key: str) -> None:
        """Do it once for `key`; raises ProblemError (`too_many_requests`) that says when it will be possible."""
        if wait := self.wait(key):
            told = "1 second" if wait == 1 else f"{wait} seconds"
            headers = {"Retry-After": str(wait)}
            raise ProblemError(Code.TOO_MANY_REQUESTS, f"{self._sentence} Try again in {told}.", headers=headers)

    def wait(self, key: str) -> int:
        """Do it once for `key` and answer 0; or the whole seconds after which it will be possible, if nobody else does it."""
        now = self._clock()
        full_at = max(self._full_at.get(key, now), now) + self._interval
        if (early := full_at - now - self._room) > 0:
            return -(-early // SECOND)
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        self._forget(now)
        return 0

    def _forget(self, now: int) -> None:
        """A full bucket is as good as none."""
        while len(self._full_at) > self._max_keys or next(iter(self._full_at.values())) <= now:
            self._full_at.popitem(last=False)
