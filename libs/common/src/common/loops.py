"""A loop for periodic work: do what is due, rest, wake early; a failure never ends it."""

from collections.abc import Awaitable, Callable, Sequence

import structlog

from common.errors import name_of
from common.wakeup import Wakeup
from common.watchdog import Watchdog

log = structlog.get_logger()

AFTER_FAILURE = (1.0, 2.0, 5.0, 10.0)
"""Seconds of rest after the first, second, … failure in a row; the last one repeats."""
BEAT_EVERY = 10.0
"""Seconds between two beats of a loop that rests: resting is not a stall."""


class Loop:
    """Calls `step` until cancelled, watched under `name`; logs `<name>.failed` and continues when a step raises."""

    def __init__(
        self,
        name: str,
        watchdog: Watchdog,
        step: Callable[[], Awaitable[None]],
        *,
        every: float,
        after_failure: Sequence[float] = AFTER_FAILURE,
        failed_event: str = "",
    ) -> None:
        """`step` does all that is due and calls `beat` where that takes long; `every`: seconds between two steps.

        `failed_event`: what is logged when a step raises, `<name>.failed` by default.
        """
        self.name = name
        self._failed_event = failed_event or f"{name}.failed"
        self._watchdog = watchdog
        self._step = step
        self._every = every
        self._after_failure = after_failure
        self._wakeup = Wakeup()
        self._failures = 0

    def wake(self) -> None:
        """Something may be due: end the rest now."""
        self._wakeup.wake()

    def beat(self) -> None:
        """The current step made progress."""
        self._watchdog.beat(self.name)

    def recovered(self) -> None:
        """The current step, which may never end, works: the next failure is the first in a row."""
        self._failures = 0

    async def run(self) -> None:
        self._watchdog.register(self.name)
        while True:
            self._wakeup.clear()
            try:
                await self._step()
                self._failures = 0
            except Exception as error:  # noqa: BLE001 - the next step may find database and broker again
                log.warning(self._failed_event, error=name_of(error))
                self._failures += 1
            self.beat()
            await self._rest(self._pause())

    def _pause(self) -> float:
        return self._after_failure[min(self._failures, len(self._after_failure)) - 1] if self._failures else self._every

    async def _rest(self, seconds: float) -> None:
        while seconds > 0 and not await self._wakeup.wait(min(seconds, BEAT_EVERY)):
            seconds -= BEAT_EVERY
            self.beat()
