"""A worker for queues in a table: it claims entries on a lease, attempts several at a time, and releases them at the end."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

import structlog

from common.errors import is_transient, name_of
from common.wakeup import Wakeup
from common.watchdog import Watchdog

log = structlog.get_logger()

C = TypeVar("C")

POLL_EVERY = 1.0
"""Seconds between two looks for work where nothing wakes the worker."""
REST_SECONDS = 0.04
"""Least time between two looks while several entries are worked on: what becomes due meanwhile is claimed together.

And until the look after an entry that makes no other due, unless something wakes the worker before.
"""
AFTER_FAILURE = 2.0
"""Seconds until the next look after a claim that failed."""


class LeasedQueue(Protocol[C]):
    """A table whose entries one process at a time works on; an expired lease frees the entry of a process that died."""

    async def claim(self, at_most: int) -> tuple[Sequence[C], bool]:
        """Take the most urgent entries, and whether others may be due as well; none where nothing is due."""

    async def attempt(self, claim: C) -> bool:
        """Work on one entry until it is done or released; what it raises is logged, and the lease expires.

        Returns whether others may wait for its end.
        """

    async def renew(self, held: Collection[C]) -> None:
        """Extend the leases of what is worked on."""

    async def release(self, held: Collection[C]) -> None:
        """Give back what was not finished, as it is."""

    async def release_owner(self) -> None:
        """Give back what a process of this name held before it died."""


class LeasedWorker(Generic[C]):
    """At most `in_flight` entries at the same time, until cancelled; then the claimed ones are released."""

    def __init__(
        self,
        name: str,
        watchdog: Watchdog,
        queue: LeasedQueue[C],
        *,
        in_flight: int,
        renew_every: float | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`name` is for logs and liveness; `renew_every` in seconds, None where a lease outlasts every attempt."""
        self.name = name
        self._watchdog = watchdog
        self._queue = queue
        self._in_flight = in_flight
        self._renew_every = renew_every
        self._pause = pause
        self._wakeup = Wakeup()
        self._held: dict[asyncio.Task[bool], C] = {}
        self._looks = 0
        self._next_look = 0.0
        """By the clock of the loop."""

    def wake(self) -> None:
        """There may be something due: look now."""
        self._wakeup.wake()

    async def run(self) -> None:
        self._watchdog.register(self.name)
        await self._logged("release", self._queue.release_owner())
        renewing = asyncio.create_task(self._renew())
        try:
            while True:
                await self._round()
                self._watchdog.beat(self.name)
        finally:
            await self._stop(renewing)

    async def _round(self) -> None:
        clock = asyncio.get_running_loop().time
        if len(self._held) > 1 and (rest := self._next_look - clock()) > 0:
            await self._pause(rest)
        self._wakeup.clear()
        free = self._free()
        claims, are_more_due = await self._claim(free) if free else ((), False)
        for claim in claims:
            task = asyncio.create_task(self._queue.attempt(claim))
            self._held[task] = claim
            task.add_done_callback(self._done)
        if not are_more_due:
            self._next_look = clock() + REST_SECONDS
            await self._wakeup.wait(POLL_EVERY)

    def _free(self) -> int:
        return self._in_flight - len(self._held)

    def _done(self, task: asyncio.Task[bool]) -> None:
        was_full = not self._free()
        self._held.pop(task)
        if not task.cancelled() and (error := task.exception()):
            event = f"{self.name}.attempt_failed"
            log.warning(event, error=name_of(error), exc_info=None if is_transient(error) else error)
        if was_full or task.cancelled() or task.exception() or task.result():
            self.wake()
        else:
            asyncio.get_running_loop().call_later(REST_SECONDS, self._wake_after, self._looks)

    def _wake_after(self, looks: int) -> None:
        if self._looks == looks:
            self.wake()

    async def _claim(self, at_most: int) -> tuple[Sequence[C], bool]:
        self._looks += 1
        try:
            return await self._queue.claim(at_most)
        except Exception as error:  # noqa: BLE001 - the next look may find the database again
            event = f"{self.name}.claim_failed"
            log.warning(event, error=name_of(error))
            await self._pause(AFTER_FAILURE)
            return (), False

    async def _renew(self) -> None:
        while self._renew_every is not None:
            await asyncio.sleep(self._renew_every)
            await self._logged("renew", self._queue.renew(list(self._held.values())))

    async def _logged(self, action: str, call: Awaitable[None]) -> None:
        try:
            await call
        except Exception as error:  # noqa: BLE001 - a lease that runs out only costs a second attempt
            event = f"{self.name}.{action}_failed"
            log.warning(event, error=name_of(error))

    async def _stop(self, renewing: asyncio.Task[None]) -> None:
        held = dict(self._held)
        for task in (renewing, *held):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(renewing, *held, return_exceptions=True)
        await self._logged("release", self._queue.release(list(held.values())))
