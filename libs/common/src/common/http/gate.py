"""Checks before every route under /v1: a live token, its rate, and the size and time of the body."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from contract.problems import Code, ProblemError
from contract.tracing import tracing
from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.http.app import problem_of
from common.http.strict import GUARDED
from common.http.tokens import Token, TokenStore, unauthorized
from common.metrics import REFUSALS, declare
from common.rate_limits import Limiter, Rate
from common.tracing import trace_of_request

MAX_BODY_BYTES = 64 * 1024
BODY_DEADLINE = 10.0
"""Seconds for a whole body, however it is split: a connection that trickles gets a 408."""
CODES = (Code.TOKEN_REFUSED, Code.TOO_MANY_REQUESTS, Code.REQUEST_TOO_LARGE, Code.REQUEST_TOO_SLOW)
WRONG_TOKENS = Rate(10, 60)
"""Of one client address; a valid token passes all the same, so that nobody can lock others out."""


class Gate:
    """Rejects a request before its body is read; the token of an accepted one is in `request.state.token`."""

    def __init__(
        self,
        app: ASGIApp,
        requests: Limiter,
        wrong_tokens: Limiter,
        clock: Callable[[], datetime],
        body_deadline: float,
    ) -> None:
        """`requests` are counted by token ID, `wrong_tokens` by client address; `clock` is for expiry (aware, UTC)."""
        self._app = app
        self._requests = requests
        self._wrong_tokens = wrong_tokens
        self._clock = clock
        self._body_deadline = body_deadline

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(GUARDED):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            request.state.token = self._token_of(request)
            body = await self._body_of(request)
        except ClientDisconnect:
            return
        except ProblemError as error:
            await _answer(request, error)(scope, receive, send)
        else:
            with tracing(trace_of_request(request.headers)):
                await self._app(scope, _replay_body(body, receive), send)

    def _token_of(self, request: Request) -> Token:
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        tokens: TokenStore = request.app.state.tokens
        token = tokens.find(secret.strip(), self._clock()) if kind.lower() == "bearer" else None
        if token is None:
            self._wrong_tokens.take(request.client.host if request.client else "")
            raise unauthorized()
        self._requests.take(token.token_id)
        return token

    async def _body_of(self, request: Request) -> bytes:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:18]) > MAX_BODY_BYTES:
            raise ProblemError(Code.REQUEST_TOO_LARGE)
        try:
            async with asyncio.timeout(self._body_deadline):
                return await _read(request)
        except TimeoutError:
            raise ProblemError(Code.REQUEST_TOO_SLOW) from None


def _answer(request: Request, error: ProblemError) -> Response:
    answer = problem_of(error)
    if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
        answer.headers["Connection"] = "close"  # otherwise the client could go on sending the body without a limit
    return answer


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise ProblemError(Code.REQUEST_TOO_LARGE)
    return bytes(body)


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """The body as one message, then what follows it: the disconnect of the client."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay_body() -> Message:
        return first.pop() if first else await receive()

    return replay_body


def guard(
    app: FastAPI,
    tokens: TokenStore,
    *,
    requests_per_second: int,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ticks: Callable[[], int] = time.monotonic_ns,
    body_deadline: float = BODY_DEADLINE,
) -> None:
    """Put the gate before `app`, with `tokens` as its `state.tokens`.

    After a quiet time a token may make twice `requests_per_second` at once. `clock` is for expiry (aware, UTC), `ticks`
    for rates (nanoseconds); `body_deadline` is in seconds.
    """
    app.state.tokens = tokens
    declare(REFUSALS, ["request"], CODES)
    message = f"The limit of this token is {requests_per_second} a second."
    app.add_middleware(
        Gate,
        requests=Limiter(Rate(2 * requests_per_second, 2), message, ticks),
        wrong_tokens=Limiter(WRONG_TOKENS, "Too many invalid tokens were sent from this address.", ticks),
        clock=clock,
        body_deadline=body_deadline,
    )
