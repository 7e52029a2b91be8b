"""Connectors side by side on one database, and clients of their streams over ASGI, which may stall or hang up."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from common.database import Database
from common.http.app import make_app
from common.http.gate import guard
from common.http.tokens import SCOPES, Token, Tokens, digest_of
from common.watchdog import Watchdog
from connector.events.stream import EventRoutes
from connector.events.subscribers import Subscribers
from contract.problems import Code
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.connector.support.connector import TOKEN, ConnectorHarness, first_day, path_of
from tests.support.fakes import no_lifespan
from tests.support.messages import ACCOUNT

DEADLINE = 10.0
EVENTS = 8
"""That `make_history` causes."""


@dataclass(frozen=True, slots=True)
class SseEvent:
    number: int | None
    kind: str
    data: Any
    """Without the member `event`, which is the kind."""


def kinds(events: list[SseEvent]) -> list[str]:
    return [one.kind for one in events]


def numbers(events: list[SseEvent]) -> list[int | None]:
    return [one.number for one in events]


async def make_history(connector: ConnectorHarness) -> dict[str, Any]:
    """An integration is added, renamed, half filled in, filled in, refused; the last three: a sync and a change each."""
    card = await connector.add()
    await rename(connector, card)
    await connector.completed(card, last_day=first_day(card) + timedelta(days=14))
    await connector.completed(card, hours=1)
    await connector.failed(card, Code.KEY_REFUSED, hours=2)
    return card


async def rename(connector: ConnectorHarness, card: dict[str, Any], label: str = "Research") -> None:
    await connector.call("PATCH", path_of(card), {"label": label})


class Reader:
    """One open stream; it reads while `reading` is set."""

    def __init__(self, app: FastAPI, account_id: str, token: str, last_event_id: str | None) -> None:
        headers = {"authorization": f"Bearer {token}", "last-event-id": last_event_id}
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": f"/v1/accounts/{account_id}/events",
            "query_string": b"",
            "headers": [
                (name.encode(), value.encode("latin-1")) for name, value in headers.items() if value is not None
            ],
        }
        self._requested = False
        self._events: asyncio.Queue[SseEvent] = asyncio.Queue()
        self._rest = ""
        self._hung_up = asyncio.Event()
        self._started = asyncio.Event()
        self.reading = asyncio.Event()
        self.reading.set()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = ""
        self.task = asyncio.create_task(app(self._scope, self._receive, self._send))

    async def next(self, count: int = 1) -> list[SseEvent]:
        """The next events, as soon as they are there."""
        async with asyncio.timeout(DEADLINE):
            return [await self._events.get() for _ in range(count)]

    async def until(self, number: int) -> list[SseEvent]:
        """The events up to `number`."""
        events = await self.next()
        while events[-1].number != number:
            events += await self.next()
        return events

    async def started(self) -> int:
        """The status of the answer."""
        async with asyncio.timeout(DEADLINE):
            await self._started.wait()
        return self.status

    async def ended(self) -> None:
        """Wait until the connector has ended the stream."""
        async with asyncio.timeout(DEADLINE):
            await self.task

    def reset(self) -> None:
        """The socket is gone."""
        self._hung_up.set()

    async def hang_up(self) -> None:
        """Returns when the connector has released everything."""
        self.reset()
        await self.ended()

    async def _receive(self) -> dict[str, Any]:
        if not self._requested:
            self._requested = True
            return {"type": "http.request"}
        await self._hung_up.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.reading.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            self._started.set()
        else:
            self._read(message["body"].decode())

    def _read(self, text: str) -> None:
        self.body += text
        *events, self._rest = (self._rest + text).split("\n\n")
        for event in events:
            lines = [line.partition(": ") for line in event.split("\n")]
            fields = {name: value for name, _, value in lines if name}
            if "data" in fields:
                number = int(fields["id"]) if "id" in fields else None
                data = json.loads(fields["data"])
                assert data.pop("event") == fields["event"]
                self._events.put_nowait(SseEvent(number, fields["event"], data))


class WatchedDatabase:
    """Counts transactions; may be unavailable, or not answer, for a while."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.transactions = 0
        self.open = 0
        self.unavailable = False
        self.answers = asyncio.Event()
        self.answers.set()
        self.listening = database.listening

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        self.transactions += 1
        if self.unavailable:
            raise OperationalError("", None, Exception("the database is unavailable"))
        self.open += 1
        try:
            await self.answers.wait()
            async with self._database.transaction() as connection:
                yield connection
        finally:
            self.open -= 1


class StreamsHarness:
    """The streams of one connector process; a stream that nothing wakes polls every `poll_every` seconds."""

    def __init__(self, database: Database, poll_every: float = 60.0) -> None:
        self.later = timedelta(0)
        self.database = WatchedDatabase(database)
        watched: Any = self.database
        watchdog = Watchdog()
        self.subscribers = Subscribers(watched, watchdog)
        self.routes = EventRoutes(watched, self.subscribers, clock=self.clock, poll_every=poll_every)
        self.app = make_app("connector", watchdog, no_lifespan, {"postgres": database.ping})
        guard(self.app, Tokens(tokens=()), requests_per_second=10_000, clock=self.clock)
        self._tokens: dict[str, Token] = {}
        self.issue(TOKEN)
        self.app.include_router(self.routes.router())
        self._readers = AsyncExitStack()

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.later

    def issue(self, token: str, **fields: Any) -> None:
        """Accept the token; replaces what was issued under it."""
        known = {"token_id": token, "sha256": digest_of(token), "scopes": SCOPES} | fields
        self._accept(self._tokens | {token: Token.model_validate(known)})

    def revoke(self, token: str) -> None:
        self._accept({name: one for name, one in self._tokens.items() if name != token})

    def _accept(self, tokens: dict[str, Token]) -> None:
        self._tokens = tokens
        self.app.state.tokens = Tokens(tokens=tuple(tokens.values()))

    def read(self, last_event_id: object = None, *, account_id: str = ACCOUNT, token: str = TOKEN) -> Reader:
        """Open a stream."""
        reader = Reader(self.app, account_id, token, None if last_event_id is None else str(last_event_id))
        self._readers.push_async_callback(reader.hang_up)
        return reader

    @asynccontextmanager
    async def open(self, *, listening: bool = True) -> AsyncIterator["StreamsHarness"]:
        """The process runs; without `listening` its streams poll only. Open streams are hung up at the end."""
        task = asyncio.create_task(self.subscribers.run() if listening else asyncio.sleep(0))
        try:
            yield self
            await self._readers.aclose()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
