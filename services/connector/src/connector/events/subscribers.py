"""Who follows an account in this process, and how they hear at once of what any connector wrote."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from common.database import Database
from common.errors import name_of
from common.metrics import LISTENING, STREAMS
from common.wakeup import Wakeup
from common.watchdog import Watchdog
from contract.problems import Code, ProblemError

from connector.events import event_log

log = structlog.get_logger()

HEARS_FOR = 10.0
"""Seconds after which a connection that told nothing is asked whether it is still there."""
AFTER_FAILURE = (1.0, 2.0, 5.0, 10.0)
PER_ACCOUNT = 10
PER_PROCESS = 500


class Audience:
    """The streams that are open in this process, each with its waker; the database's notifications wake those of an account."""

    def __init__(self, database: Database, watchdog: Watchdog) -> None:
        self._database = database
        self._watchdog = watchdog
        self._wakers: dict[str, set[Wakeup]] = defaultdict(set)
        self._failures = 0

    @contextmanager
    def seat(self, account_id: str) -> Iterator[Wakeup]:
        """A place for one more stream, free again at the end; raises ProblemError (`too_many_requests`)."""
        if self.count() >= PER_PROCESS or len(self._wakers.get(account_id, ())) >= PER_ACCOUNT:
            detail = f"An account may have {PER_ACCOUNT} streams open. Close one, or let your screens share one."
            raise ProblemError(Code.TOO_MANY_REQUESTS, detail, headers={"Retry-After": "30"})
        waker = Wakeup()
        self._wakers[account_id].add(waker)
        STREAMS.set(self.count())
        try:
            yield waker
        finally:
            self._leave(account_id, waker)

    def count(self) -> int:
        """How many streams are open."""
        return sum(map(len, self._wakers.values()))

    def wake(self, account_id: str) -> None:
        """Something may have happened to the account's integrations."""
        for waker in self._wakers.get(account_id, ()):
            waker.wake()

    def wake_all(self) -> None:
        """Something may have happened to anybody's."""
        for account_id in self._wakers:
            self.wake(account_id)

    async def run(self) -> None:
        """Hear until cancelled; while the database is away the streams look by themselves."""
        self._watchdog.register("live")
        while True:
            try:
                await self._hear()
            except Exception as error:  # noqa: BLE001 - the next connection may be one that lasts
                log.warning("live.deaf", error=name_of(error))
            LISTENING.set(0)
            self._watchdog.beat("live")
            await asyncio.sleep(AFTER_FAILURE[min(self._failures, len(AFTER_FAILURE) - 1)])
            self._failures += 1

    async def _hear(self) -> None:
        async with self._database.listening(event_log.CHANNEL) as connection:
            self._failures = 0
            LISTENING.set(1)
            self.wake_all()  # for what was told while nobody heard
            while True:
                async for told in connection.notifies(timeout=HEARS_FOR):
                    self.wake(told.payload)
                await connection.execute("SELECT 1")
                self._watchdog.beat("live")

    def _leave(self, account_id: str, waker: Wakeup) -> None:
        self._wakers[account_id].discard(waker)
        if not self._wakers[account_id]:
            del self._wakers[account_id]
        STREAMS.set(self.count())
