"""The open streams of this process, woken by the database's notifications of what any connector wrote."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from common.database import Database
from common.loops import Loop
from common.metrics import LISTENING, STREAMS
from common.wakeup import Wakeup
from common.watchdog import Watchdog
from contract.problems import Code, ProblemError

from connector.events import event_log

PROBE_AFTER = 10.0
"""Seconds without a notification after which the listening connection is probed."""
PER_ACCOUNT = 10
PER_PROCESS = 500


class Subscribers:
    """Streams by account. While the database is unavailable they poll."""

    def __init__(self, database: Database, watchdog: Watchdog) -> None:
        self._database = database
        self._wakeups: dict[str, set[Wakeup]] = defaultdict(set)
        self._loop = Loop("live", watchdog, self._listen, every=1.0, failed_event="live.listen_failed")
        self.run = self._loop.run

    @contextmanager
    def subscribe(self, account_id: str) -> Iterator[Wakeup]:
        """Count one more stream, and yield what wakes it; raises ProblemError (`too_many_requests`)."""
        if self.count() >= PER_PROCESS or len(self._wakeups.get(account_id, ())) >= PER_ACCOUNT:
            detail = f"An account may have {PER_ACCOUNT} streams open. Close one, or let your screens share one."
            raise ProblemError(Code.TOO_MANY_REQUESTS, detail, headers={"Retry-After": "30"})
        wakeup = Wakeup()
        self._wakeups[account_id].add(wakeup)
        STREAMS.set(self.count())
        try:
            yield wakeup
        finally:
            self.unsubscribe(account_id, wakeup)

    def unsubscribe(self, account_id: str, wakeup: Wakeup) -> None:
        """Its client is gone: the place is free, although the stream may take a moment to end. May be repeated."""
        self._wakeups[account_id].discard(wakeup)
        if not self._wakeups[account_id]:
            del self._wakeups[account_id]
        STREAMS.set(self.count())

    def count(self) -> int:
        """Open streams."""
        return sum(map(len, self._wakeups.values()))

    def wake(self, account_id: str) -> None:
        """The account may have new events."""
        for wakeup in self._wakeups.get(account_id, ()):
            wakeup.wake()

    def wake_all(self) -> None:
        """Any account may have new events."""
        for account_id in self._wakeups:
            self.wake(account_id)

    async def _listen(self) -> None:
        """Wake the streams for as long as the connection lasts; ends by raising only."""
        try:
            async with self._database.listening(event_log.CHANNEL) as connection:
                self._loop.recovered()
                LISTENING.set(1)
                self.wake_all()  # for what was notified before this connection
                while True:
                    async for notification in connection.notifies(timeout=PROBE_AFTER):
                        self.wake(notification.payload)
                    await connection.execute("SELECT 1")
                    self._loop.beat()
        finally:
            LISTENING.set(0)
