"""An account followed live: its feed as server-sent events, resumable, right with any number of connectors."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Annotated

import anyio
import structlog
from common.database import Database
from common.errors import is_transient, name_of
from common.http.openapi import Answers, answers
from common.http.tokens import KnowsTokens, needs
from contract.fields import AccountId
from contract.problems import Code
from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import StreamingResponse

from connector.events import event_log
from connector.events.subscribers import Audience

log = structlog.get_logger()

LOOKS_EVERY = 5.0
"""Seconds after which a stream looks by itself: a notification that was lost only delays."""
RECONNECT_AFTER_MS = 2000
NOT_GATHERED = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""No proxy keeps back what was told."""
EVENT = {
    "type": "object",
    "description": "An event of the stream; one without `data` only sets how soon to connect again.",
    "properties": {
        "event": {
            "enum": ["integration", "sync", "present"],
            "description": "How an integration stands; how a sync ended; which integrations there are, all that stand told.",
        },
        "data": {"type": "string", "contentMediaType": "application/json"},
        "id": {"type": "string", "pattern": "^[0-9]+$", "description": "For `Last-Event-ID`, to go on from here."},
        "retry": {"type": "integer", "description": "Milliseconds."},
    },
}
TOLD: Answers = {
    200: {"description": "Open until either side ends it.", "content": {"text/event-stream": {"schema": EVENT}}}
}


class Stream(StreamingResponse):
    """Reads as fast as its reader takes; FastAPI's own reads ahead, and a reader who hangs up meanwhile makes it fail."""

    media_type = "text/event-stream"


class Live:
    """The route. A stream reads the table from where its reader stands: nothing gathers in memory for a slow one."""

    def __init__(
        self, database: Database, audience: Audience, *, clock: Callable[[], datetime], looks_every: float = LOOKS_EVERY
    ) -> None:
        """`clock` judges the tokens of open streams (aware, UTC)."""
        self._database = database
        self._audience = audience
        self._clock = clock
        self._looks_every = looks_every
        self._leaving = False

    def router(self) -> APIRouter:
        """It, and what is checked before a stream begins."""
        router = APIRouter(prefix="/v1/accounts/{account_id}", responses=answers(Code.TOO_MANY_REQUESTS))
        checks = [Depends(needs("integrations:read")), Depends(self._take_seat)]
        router.get(
            "/events", operation_id="follow_account", dependencies=checks, response_class=Stream, responses=TOLD
        )(self.events)
        return router

    async def events(
        self, request: Request, account_id: AccountId, last_event_id: Annotated[str | None, Header()] = None
    ) -> Stream:
        """What happens to the account's integrations from `Last-Event-ID` on; without it, how they stand, and then the same.

        Ends when the token does, and with the process; whoever wants to go on connects again with the last `id`.
        """
        stream = self._stream(request, account_id, _number(last_event_id))
        return Stream(stream, headers=NOT_GATHERED)

    def leave(self) -> None:
        """The process is about to end: so do its streams."""
        self._leaving = True
        self._audience.wake_all()

    async def _stream(self, request: Request, account_id: str, number: int | None) -> AsyncIterator[bytes]:
        yield format_sse_event(retry=RECONNECT_AFTER_MS)
        while not self._leaving and self._is_let_in(request):
            request.state.waker.clear()
            told, number = await self._next(account_id, number)
            yield b"".join(told) or KEEPALIVE_COMMENT
            if len(told) < event_log.AT_ONCE:
                await request.state.waker.wait(self._looks_every)

    async def _take_seat(self, request: Request, account_id: AccountId) -> AsyncIterator[None]:
        with self._audience.seat(account_id) as request.state.waker:
            yield

    def _is_let_in(self, request: Request) -> bool:
        tokens: KnowsTokens = request.app.state.tokens
        return tokens.is_live(request.state.token, self._clock())

    async def _next(self, account_id: str, number: int | None) -> tuple[list[bytes], int | None]:
        """What is to be told after `number`, and the number that is reached with it."""
        told: tuple[list[bytes], int | None] = [], number
        try:
            with anyio.CancelScope(shield=True):  # whoever hangs up meanwhile breaks no connection of the database
                told = await self._read(account_id, number)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("live.read_failed", error=name_of(error))
        return told

    async def _read(self, account_id: str, number: int | None) -> tuple[list[bytes], int]:
        if number is not None:
            async with self._database.transaction() as connection:
                happened = await event_log.after(connection, account_id, number)
            if happened is not None:
                return [_event(one) for one in happened], happened[-1].number if happened else number
        async with self._database.transaction() as connection:
            present = await event_log.present(connection, account_id)
        return _events(present), present.number


def _number(last_event_id: str | None) -> int | None:
    """Where the reader stands; None where it does not say so, or nothing that was ever told."""
    told = last_event_id or ""
    return int(told) if told.isascii() and told.isdigit() and len(told) <= event_log.DIGITS else None


def _event(happened: event_log.Happened) -> bytes:
    return format_sse_event(data_str=happened.body, event=happened.kind, id=str(happened.number))


def _events(present: event_log.Present) -> list[bytes]:
    """Only the last one has the number: a reader that heard a part of them begins anew."""
    named = json.dumps({"integration_ids": [str(one) for one in present.integration_ids]})
    told = [format_sse_event(data_str=body, event="integration") for body in present.integrations]
    return [*told, format_sse_event(data_str=named, event="present", id=str(present.number))]
