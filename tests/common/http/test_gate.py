"""What is refused before it is read, and what is let in."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from common.http.app import make_app
from common.http.gate import MAX_BODY_BYTES, guard
from common.http.tokens import Tokens, digest_of, needs
from common.rate_limits import SECOND
from common.watchdog import Watchdog
from contract.tracing import traceparent
from fastapi import Depends, FastAPI, Request
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

from tests.support.contract import served
from tests.support.messages import PARENT

NOW = datetime(2026, 11, 20, tzinfo=UTC)
CHUNK = b" " * 64 * 1024
HUGE = 150_000_000
Messages = AsyncIterator[Message]


class Ticks:
    now = 0

    def __call__(self) -> int:
        return self.now


class Asked:
    """A request as a server hands it on; `read` is how many bytes of its body were asked of the client."""

    def __init__(self, messages: Messages, token: str, headers: dict[str, str], address: str) -> None:
        self._messages = messages
        self._answer = b""
        self.read = 0
        self.status = 0
        self.headers: dict[str, str] = {}
        sent = {"authorization": f"Bearer {token}", "content-type": "application/json"} | headers
        self.scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": "/v1/takes",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "client": (address, 1),
        }

    async def receive(self) -> Message:
        message = await anext(self._messages)
        self.read += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self._answer += message["body"]

    @property
    def json(self) -> Any:
        return json.loads(self._answer)


class Api:
    """A service with one route; it has two live tokens, `old` and `new`, for one request a second."""

    def __init__(self, body_deadline: float = 10.0) -> None:
        self.ticks = Ticks()
        self.bodies: list[bytes] = []
        self.traces: list[str | None] = []
        self.app: FastAPI = make_app("test", Watchdog(), None, None)  # type: ignore[arg-type]  # neither is used
        self.app.router.dependencies.clear()  # the route declares no body, and reads it
        known = [{"token_id": one, "sha256": digest_of(one), "scopes": ["costs:read"]} for one in ("old", "new")]
        guard(
            self.app,
            Tokens.model_validate({"tokens": known}),
            requests_per_second=1,
            clock=lambda: NOW,
            ticks=self.ticks,
            body_deadline=body_deadline,
        )
        self.app.post("/v1/takes", dependencies=[Depends(needs("costs:read"))])(self.takes)

    async def takes(self, request: Request) -> str:
        self.bodies.append(await request.body())
        self.traces.append(traceparent.get())
        assert await request.is_disconnected()
        return str(request.state.token.token_id)

    async def ask(
        self,
        messages: Messages,
        token: str = "old",  # noqa: S107 - of a test
        address: str = "192.0.2.1",
        **headers: str,
    ) -> Asked:
        asked = Asked(messages, token, {name.replace("_", "-"): value for name, value in headers.items()}, address)
        await self.app(asked.scope, asked.receive, asked.send)
        return asked

    async def codes(self, times: int, **how: str) -> list[str]:
        """What each of so many requests without a body is answered: `taken`, or a code."""
        asked = [await self.ask(whole([]), **how) for _ in range(times)]
        return ["taken" if one.status == 200 else one.json["code"] for one in asked]


async def whole(chunks: Iterable[bytes]) -> Messages:
    """A body in pieces; then the client hangs up."""
    for chunk in chunks:
        yield {"type": "http.request", "body": chunk, "more_body": True}
    yield {"type": "http.request"}
    while True:
        yield {"type": "http.disconnect"}


async def trickling() -> Messages:
    """A byte now and then, without an end."""
    while True:
        yield {"type": "http.request", "body": b" ", "more_body": True}
        await asyncio.sleep(0)


async def stalling() -> Messages:
    """A byte, and nothing more."""
    yield {"type": "http.request", "body": b" ", "more_body": True}
    await asyncio.Event().wait()


async def breaking_off() -> Messages:
    """A byte, and the client hangs up."""
    yield {"type": "http.request", "body": b" ", "more_body": True}
    yield {"type": "http.disconnect"}


def huge() -> Iterable[bytes]:
    return (CHUNK for _ in range(HUGE // len(CHUNK)))


async def test_a_stranger_is_refused_before_a_byte_is_read() -> None:
    asked = await Api().ask(whole(huge()), token="wrong")  # noqa: S106 - of a test

    assert (asked.status, asked.json["code"], asked.read) == (401, "token_refused", 0)
    assert asked.headers["www-authenticate"] == "Bearer"


async def test_a_body_that_is_declared_too_large_is_not_read() -> None:
    asked = await Api().ask(whole(huge()), content_length=str(HUGE))

    assert (asked.status, asked.json["code"], asked.read) == (413, "request_too_large", 0)
    assert asked.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("declared", ["5", "0" * 30 + "5", "²", ""])
async def test_a_body_of_false_length_is_read_up_to_the_limit(declared: str) -> None:
    api = Api()

    asked = await api.ask(whole(huge()), content_length=declared)

    assert (asked.status, asked.json["code"], api.bodies) == (413, "request_too_large", [])
    assert MAX_BODY_BYTES < asked.read <= MAX_BODY_BYTES + len(CHUNK)


@settings(deadline=None, max_examples=50)
@given(st.integers(-3, 3), st.lists(st.integers(0, MAX_BODY_BYTES), max_size=5))
async def test_64_kib_are_taken_however_they_are_cut_and_not_a_byte_more(over: int, cuts: list[int]) -> None:
    api, body = Api(), bytes(MAX_BODY_BYTES + over)
    ends = [0, *sorted(cuts), len(body)]
    chunks = [body[start:end] for start, end in pairwise(ends)]

    asked = await api.ask(whole(chunks))

    assert asked.status == (413 if over > 0 else 200)
    assert api.bodies == ([] if over > 0 else [body])


@pytest.mark.parametrize("messages", [trickling, stalling])
async def test_a_body_that_does_not_arrive_in_time_is_refused(messages: Any) -> None:
    api = Api(body_deadline=0.05)

    asked = await api.ask(messages(), content_length="60000")

    assert (asked.status, asked.json["code"], api.bodies) == (408, "request_too_slow", [])
    assert asked.headers["connection"] == "close"


async def test_a_client_that_hangs_up_is_not_answered() -> None:
    api = Api()

    asked = await api.ask(breaking_off())

    assert (asked.status, api.bodies) == (0, [])


async def test_a_token_has_its_rate_and_the_answer_names_when_to_retry() -> None:
    api = Api()

    assert await api.codes(3) == ["taken", "taken", "too_many_requests"]
    refused = await api.ask(whole([]))
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert refused.json["detail"] == "The limit of this token is 1 a second. Try again in 1 second."
    api.ticks.now += SECOND
    assert await api.codes(2) == ["taken", "too_many_requests"]


async def test_during_a_rotation_both_tokens_work_each_at_its_own_rate() -> None:
    api = Api()

    assert await api.codes(3, token="old") == ["taken", "taken", "too_many_requests"]  # noqa: S106 - of a test
    assert await api.codes(3, token="new") == ["taken", "taken", "too_many_requests"]  # noqa: S106 - of a test


async def test_who_guesses_is_slowed_down_and_locks_nobody_out() -> None:
    api = Api()
    guesses = [(await api.codes(1, token=f"guess-{one}"))[0] for one in range(1000)]

    assert guesses == ["token_refused"] * 10 + ["too_many_requests"] * 990
    assert await api.codes(1) == ["taken"]
    assert await api.codes(1, token="guess", address="192.0.2.2") == ["token_refused"]  # noqa: S106 - of a test
    api.ticks.now += 6 * SECOND
    assert await api.codes(2, token="guess") == ["token_refused", "too_many_requests"]  # noqa: S106 - of a test


@pytest.mark.parametrize(
    ("headers", "closed"),
    [
        ({}, False),
        ({"content_length": "0"}, False),
        ({"content_length": "5"}, True),
        ({"transfer_encoding": "chunked"}, True),
    ],
)
async def test_who_is_refused_may_not_go_on_sending(headers: dict[str, str], closed: bool) -> None:  # noqa: FBT001 - a parameter
    asked = await Api().ask(whole([]), token="wrong", **headers)  # noqa: S106 - of a test

    assert ("connection" in asked.headers) is closed


@pytest.mark.parametrize("path", ["/livez", "/metrics"])
async def test_whoever_looks_after_the_process_needs_no_token(path: str) -> None:
    asked = Asked(whole([]), "", {}, "192.0.2.1")
    await Api().app(asked.scope | {"path": path, "method": "GET"}, asked.receive, asked.send)

    assert asked.status == 200


@pytest.mark.parametrize(("token", "status"), [("wrong", 401), ("old", 413)])
async def test_on_the_wire_an_upload_of_150_mb_ends_at_once(token: str, status: int) -> None:
    sent = 0
    async with served(Api().app) as url, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        head = (
            f"POST /v1/takes HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\nContent-Length: {HUGE}\r\n\r\n"
        )
        writer.write(head.encode())
        answer = await reader.readline()
        while sent < HUGE and not writer.is_closing():
            writer.write(CHUNK)
            sent += len(CHUNK)
            try:
                await writer.drain()
            except ConnectionError:
                break
        writer.close()

    assert answer.split()[1] == str(status).encode()
    assert sent < HUGE / 10


async def test_a_request_is_handled_under_the_trace_that_it_names() -> None:
    api = Api()

    for headers in ({"traceparent": PARENT}, {"traceparent": "nonsense"}):
        await api.ask(whole([]), **headers)
        api.ticks.now += 10 * SECOND

    assert api.traces == [PARENT, None]
    assert traceparent.get() is None
