"""The live events of an account for all tabs that show it: one stream of the connector, however many tabs there are."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import httpx
import structlog
from common.wakeup import Wakeup
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

log = structlog.get_logger()

ATTEMPTS = 5
"""Attempts in a row to reach the connector, before the tabs of an account are sent to polling."""
RETRY = 1.0
"""Seconds between two of them; a stream that ended is resumed with `Last-Event-ID`."""
LINGER = 30.0
"""Seconds that a stream stays open without a tab: the next page of the same person needs none of its own."""
RECENT = 5.0
"""Seconds: a change this long before a tab began to follow may be missing from the page that it shows."""
SILENCE = 20.0
"""Seconds without a byte after which a stream is dead: the connector sends some every five."""
KEEPALIVE = 15.0
"""Seconds of silence after which a tab's stream sends a comment, so that no proxy ends it."""
PAUSE = 0.5
"""Seconds between two changes that a tab is sent: those in between are one."""
RECONNECT_AFTER_MS = 2000


class AccountStream:
    """The connector's events of one account. Tabs need only know that something changed: they ask for the page again."""

    def __init__(self, client: httpx.AsyncClient, account_id: str, retry: float) -> None:
        self._client = client
        self._path = f"/v1/accounts/{account_id}/events"
        self._retry = retry
        self._last_event_id = ""
        self._changed_at = float("-inf")
        self._tabs: set[Wakeup] = set()
        self.connected = asyncio.Event()
        self.lost = False
        """Whether the connector has been unavailable for too long."""

    @property
    def tabs(self) -> int:
        return len(self._tabs)

    @contextmanager
    def follow(self) -> Iterator[Wakeup]:
        """Yields what is woken by each change, and when the stream is lost."""
        wakeup = Wakeup()
        self._tabs.add(wakeup)
        if asyncio.get_running_loop().time() - self._changed_at < RECENT:
            wakeup.wake()
        try:
            yield wakeup
        finally:
            self._tabs.discard(wakeup)

    def lose(self) -> None:
        self.lost = True
        self.connected.set()
        self._wake()

    async def run(self) -> None:
        """Follow the account until cancelled, or until too many attempts in a row have failed."""
        failures = 0
        while failures < ATTEMPTS:
            try:
                async for line in self._lines():
                    failures = 0
                    self.connected.set()
                    self._take(line)
            except httpx.HTTPError as error:
                log.warning("live.upstream_failed", error=type(error).__name__)
            failures += 1
            await asyncio.sleep(self._retry)

    async def _lines(self) -> AsyncIterator[str]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": self._last_event_id}
        timeout = httpx.Timeout(5.0, read=SILENCE)
        async with self._client.stream("GET", self._path, headers=headers, timeout=timeout) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                yield line

    def _take(self, line: str) -> None:
        """The connector sends the number of an event behind its data."""
        name, _, value = line.partition(": ")
        if name == "id":
            self._last_event_id = value
        elif name == "data":
            self._changed_at = asyncio.get_running_loop().time()
            self._wake()

    def _wake(self) -> None:
        for tab in self._tabs:
            tab.wake()


class Relay:
    """The streams of all accounts that are being looked at."""

    def __init__(self, client: httpx.AsyncClient, *, retry: float = RETRY, linger: float = LINGER) -> None:
        """`client` has the connector's URL and the console's token."""
        self._client = client
        self._retry = retry
        self._linger = linger
        self._streams: dict[str, AccountStream] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def stream(self, account_id: str) -> AccountStream:
        """The account's stream, opened where there is none."""
        if account_id not in self._streams:
            self._streams[account_id] = AccountStream(self._client, account_id, self._retry)
            self._tasks[account_id] = asyncio.create_task(self._run(account_id))
        return self._streams[account_id]

    def leave(self) -> None:
        """The process is about to end: end all streams, and those of the tabs with them."""
        for task in self._tasks.values():
            task.cancel()

    async def _run(self, account_id: str) -> None:
        stream = self._streams[account_id]
        following = asyncio.create_task(stream.run())
        try:
            while not following.done() and (stream.tabs or not stream.connected.is_set()):
                await asyncio.wait([following], timeout=self._linger)
        finally:
            following.cancel()
            del self._streams[account_id], self._tasks[account_id]
            stream.lose()


async def tab_events(
    stream: AccountStream, is_open: Callable[[], bool], *, pause: float = PAUSE, keepalive: float = KEEPALIVE
) -> AsyncGenerator[bytes, None]:
    """What a tab receives: `changed`, without a word of what, for as long as `is_open` and the connector answers."""
    with stream.follow() as wakeup:
        yield format_sse_event(retry=RECONNECT_AFTER_MS)
        while not stream.lost and is_open():
            changed = await wakeup.wait(keepalive)
            wakeup.clear()
            yield format_sse_event(event="changed", data_str="{}") if changed else KEEPALIVE_COMMENT
            await asyncio.sleep(pause)
