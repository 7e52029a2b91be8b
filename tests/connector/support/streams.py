"""Connectors side by side on one database, and readers of their streams who speak ASGI: they may stop taking, or go away."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from common.database import Database
from common.http.app import make_app
from common.http.gate import guard
from common.http.tokens import SCOPES, Token, Tokens, digest_of
from common.watchdog import Watchdog
from connector.events.stream import Live
from connector.events.subscribers import Audience
from contract.problems import Code
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.connector.support.connector import ACCOUNT, TOKEN, World

DEADLINE = 10.0
EVENTS = 8
"""Of what `lived` does."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event as it came over the wire."""

    number: int | None
    kind: str
    data: Any


def kinds(told: list[Told]) -> list[str]:
    return [one.kind for one in told]


def numbers(told: list[Told]) -> list[int | None]:
    return [one.number for one in told]


async def lived(world: World) -> dict[str, Any]:
    """An integration that was added, renamed, half filled in, filled in, refused: the last three are a sync and a change each."""
    card = await world.add()
    await world.http.patch(f"/integrations/{card['integration_id']}", json={"label": "Research"})
    half = date.fromisoformat(card["backfill"]["first_day"]) + timedelta(days=14)
    await world.completed(card, last_day=half)
    await world.completed(card, hours=1)
    await world.failed(card, Code.KEY_REFUSED, hours=2)
    return card


class Reader:
    """One open stream: takes what comes for as long as `taking` is set."""

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
        self._asks = True
        self._told: asyncio.Queue[Told] = asyncio.Queue()
        self._rest = ""
        self._gone = asyncio.Event()
        self._started = asyncio.Event()
        self.taking = asyncio.Event()
        self.taking.set()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = ""
        self.task = asyncio.create_task(app(self._scope, self._receive, self._send))

    async def next(self, count: int = 1) -> list[Told]:
        """The next events, as soon as they are there."""
        async with asyncio.timeout(DEADLINE):
            return [await self._told.get() for _ in range(count)]

    async def until(self, number: int) -> list[Told]:
        """The events up to `number`."""
        found = await self.next()
        while found[-1].number != number:
            found += await self.next()
        return found

    def waiting(self) -> int:
        """How many events have come that nobody has looked at."""
        return self._told.qsize()

    async def started(self) -> int:
        """The status of the answer."""
        async with asyncio.timeout(DEADLINE):
            await self._started.wait()
        return self.status

    async def ended(self) -> str:
        """Wait until the connector has ended the stream; answers all that came."""
        async with asyncio.timeout(DEADLINE):
            await self.task
        return self.body

    async def go_away(self) -> None:
        """Hang up; back when the connector has let go of everything."""
        self._gone.set()
        async with asyncio.timeout(DEADLINE):
            await self.task

    async def _receive(self) -> dict[str, Any]:
        if self._asks:
            self._asks = False
            return {"type": "http.request"}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.taking.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            self._started.set()
        else:
            self._take(message["body"].decode())

    def _take(self, text: str) -> None:
        self.body += text
        *events, self._rest = (self._rest + text).split("\n\n")
        for event in events:
            lines = [line.partition(": ") for line in event.split("\n")]
            fields = {name: value for name, _, value in lines if name}
            if "data" in fields:
                number = int(fields["id"]) if "id" in fields else None
                self._told.put_nowait(Told(number, fields["event"], json.loads(fields["data"])))


class Watched:
    """The database, with an eye on how often it is asked; may be away for a while."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.asked = 0
        self.away = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        self.asked += 1
        if self.away:
            raise OperationalError("", None, Exception("the database is away"))
        async with self._database.transaction() as connection:
            yield connection

    @asynccontextmanager
    async def listening(self, channel: str) -> AsyncIterator[Any]:
        async with self._database.listening(channel) as connection:
            yield connection


class Issued:
    """The tokens that are accepted; may change at any time."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}

    def issue(self, token: str, **fields: Any) -> None:
        known = {"token_id": token, "sha256": digest_of(token), "scopes": SCOPES} | fields
        self._tokens[token] = Token.model_validate(known)

    def revoke(self, token: str) -> None:
        del self._tokens[token]

    def find(self, secret: str, now: datetime) -> Token | None:
        return self._all().find(secret, now)

    def is_live(self, token: Token, now: datetime) -> bool:
        return self._all().is_live(token, now)

    def _all(self) -> Tokens:
        return Tokens(tokens=tuple(self._tokens.values()))


class Process:
    """What one connector process does for streams; those of whom nobody wakes them look again `looks_every` seconds."""

    def __init__(self, database: Database, looks_every: float = 60.0) -> None:
        self.later = timedelta(0)
        self.database = Watched(database)
        watchdog = Watchdog()
        self.audience = Audience(self.database, watchdog)  # type: ignore[arg-type]  # it speaks the same
        self.live = Live(self.database, self.audience, clock=self.clock, looks_every=looks_every)  # type: ignore[arg-type]  # it speaks the same
        self.app = make_app("connector", watchdog, _nothing, database.ping)
        guard(self.app, Tokens(tokens=()), requests_per_second=10_000)
        self.tokens = Issued()
        self.tokens.issue(TOKEN)
        guard(self.app, self.tokens, requests_per_second=1000, clock=self.clock)
        self.app.include_router(self.live.router())
        self._readers = AsyncExitStack()

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.later

    def read(self, last_event_id: object = None, *, account_id: str = ACCOUNT, token: str = TOKEN) -> Reader:
        """Open a stream; it is hung up with the process."""
        reader = Reader(self.app, account_id, token, None if last_event_id is None else str(last_event_id))
        self._readers.push_async_callback(reader.go_away)
        return reader

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """The process hears of events at once."""
        task = asyncio.create_task(self.audience.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def close(self) -> None:
        await self._readers.aclose()


@asynccontextmanager
async def _nothing(_app: FastAPI) -> AsyncIterator[None]:
    yield
