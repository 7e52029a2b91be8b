"""The route that follows an account: its events as server-sent events, resumable, with any number of connectors."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Annotated

import anyio
import structlog
from common.database import Database
from common.errors import is_transient, name_of
from common.http.openapi import Responses, answers
from common.http.tokens import TokenStore, needs
from contract.fields import AccountId
from contract.problems import Code
from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive

from connector.events import event_log
from connector.events.schemas import AnyEvent
from connector.events.subscribers import Subscribers

log = structlog.get_logger()

POLL_EVERY = 5.0
"""Seconds between two reads of a stream that nothing wakes: a lost notification only delays."""
RECONNECT_AFTER_MS = 2000
READS = 3
"""Streams that read the database at the same time: the rest of the pool's connections is for requests."""
UNBUFFERED = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""Proxies must pass each event on at once."""
STREAM: Responses = {
    200: {
        "description": (
            "Open until either side ends it. The schema is that of an event's `data`, whose `event` is the name of the event, "
            "too. Its `id` is for `Last-Event-ID`, to resume from here; an event without `data` sets only, as `retry`, "
            "the milliseconds after which to connect again."
        ),
        "model": AnyEvent,
    }
}


class EventStream(StreamingResponse):
    """Reads as fast as its client; FastAPI's own reads ahead, and fails when a client hangs up meanwhile."""

    media_type = "text/event-stream"
    on_disconnect: Callable[[], None]
    """Called when the client is gone, before the stream itself ends, which may be reading."""

    async def listen_for_disconnect(self, receive: Receive) -> None:
        await super().listen_for_disconnect(receive)
        self.on_disconnect()


class EventRoutes:
    """A stream reads the table from its client's position on: nothing accumulates in memory for a slow client."""

    def __init__(
        self,
        database: Database,
        subscribers: Subscribers,
        *,
        clock: Callable[[], datetime],
        poll_every: float = POLL_EVERY,
    ) -> None:
        """`clock` judges the tokens of open streams (aware, UTC)."""
        self._database = database
        self._subscribers = subscribers
        self._clock = clock
        self._poll_every = poll_every
        self._reads = asyncio.Semaphore(READS)
        self._leaving = False

    def router(self) -> APIRouter:
        """The routes, in one table; a method's name is its operation ID."""
        router = APIRouter(
            prefix="/v1/accounts/{account_id}",
            responses=answers(Code.TOO_MANY_REQUESTS),
            generate_unique_id_function=attrgetter("name"),
        )
        checks = [Depends(needs("integrations:read")), Depends(self._subscribe)]
        router.get("/events", dependencies=checks, response_class=EventStream, responses=STREAM)(self.follow_account)
        return router

    async def follow_account(
        self,
        request: Request,
        account_id: AccountId,
        last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
    ) -> EventStream:
        """Events of the account's integrations after `Last-Event-ID`; without it, a snapshot first, ended by `present`.

        Ends with the token and with the process; to resume, connect again with the last `id`.
        """
        response = EventStream(self._stream(request, account_id, _number(last_event_id)), headers=UNBUFFERED)
        response.on_disconnect = partial(self._subscribers.unsubscribe, account_id, request.state.wakeup)
        return response

    def leave(self) -> None:
        """The process is about to end: end its streams."""
        self._leaving = True
        self._subscribers.wake_all()

    async def _stream(self, request: Request, account_id: str, number: int | None) -> AsyncIterator[bytes]:
        yield format_sse_event(retry=RECONNECT_AFTER_MS)
        while not self._leaving and self._is_authorized(request):
            request.state.wakeup.clear()
            events, number = await self._next(account_id, number)
            yield b"".join(events) or KEEPALIVE_COMMENT
            if len(events) < event_log.PAGE_SIZE:
                await request.state.wakeup.wait(self._poll_every)

    async def _subscribe(self, request: Request, account_id: AccountId) -> AsyncIterator[None]:
        with self._subscribers.subscribe(account_id) as request.state.wakeup:
            yield

    def _is_authorized(self, request: Request) -> bool:
        tokens: TokenStore = request.app.state.tokens
        return tokens.is_live(request.state.token, self._clock())

    async def _next(self, account_id: str, number: int | None) -> tuple[list[bytes], int | None]:
        """The events after `number`, and the number that the stream has reached with them."""
        page: tuple[list[bytes], int | None] = [], number
        try:
            async with self._reads:
                with anyio.CancelScope(shield=True):  # a client that hangs up meanwhile breaks no database connection
                    page = await self._read(account_id, number)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("live.read_failed", error=name_of(error))
        return page

    async def _read(self, account_id: str, number: int | None) -> tuple[list[bytes], int]:
        if number is not None:
            async with self._database.transaction() as connection:
                events = await event_log.events_after(connection, account_id, number)
            if events is not None:
                return [_event(one) for one in events], events[-1].number if events else number
        async with self._database.transaction() as connection:
            snapshot = await event_log.snapshot(connection, account_id)
        return _events(snapshot), snapshot.number


def _number(last_event_id: str | None) -> int | None:
    """The client's position; None where it sent none, or one that no event can have."""
    text = last_event_id or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= event_log.MAX_DIGITS else None


def _event(event: event_log.AccountEvent) -> bytes:
    return format_sse_event(data_str=_named(event.kind, event.body), event=event.kind, id=str(event.number))


def _events(snapshot: event_log.Snapshot) -> list[bytes]:
    """Only the last one has the number: a client that received a part of them starts over."""
    ids = json.dumps({"integration_ids": [str(one) for one in snapshot.integration_ids]})
    states = [
        format_sse_event(data_str=_named("integration", body), event="integration") for body in snapshot.integrations
    ]
    return [*states, format_sse_event(data_str=_named("present", ids), event="present", id=str(snapshot.number))]


def _named(kind: str, body: str) -> str:
    """The body with the name of its event: what generated clients read may not have it otherwise."""
    return f'{{"event":"{kind}",{body[1:]}'
