"""A request has so long to arrive and no longer, however it is cut."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import chain

import h11
import pytest
from common.http.app import make_app
from common.http.gate import BODY_DEADLINE
from common.http.server import server_of
from common.http.timeouts import BODY_SECONDS, HEADERS_SECONDS, RequestTimeoutProtocol
from common.watchdog import Watchdog
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

SECONDS = 0.4
"""For headers, and for a body, in these tests."""
DEADLINE = 20.0
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: here\r\n"


@asynccontextmanager
async def _life(_app: FastAPI) -> AsyncIterator[None]:
    yield


async def _ready() -> None:
    """Nothing is unavailable."""


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(RequestTimeoutProtocol, "seconds", {h11.IDLE: SECONDS, h11.SEND_BODY: SECONDS})
    app = make_app("test", Watchdog(), _life, {"postgres": _ready})

    @app.get("/slow")
    async def slow() -> StreamingResponse:
        return StreamingResponse(_slowly())

    server = server_of(app, host="127.0.0.1", port=0)
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(DEADLINE):
            while not server.started:
                await asyncio.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def _slowly() -> AsyncIterator[bytes]:
    for _ in range(3):
        await asyncio.sleep(SECONDS)
        yield b"."


@asynccontextmanager
async def _connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def _trickle() -> Iterator[bytes]:
    return (b"x" for _ in range(10_000))


async def _until_closed(port: int, beginning: bytes, more: Iterator[bytes]) -> float:
    """Seconds until the server closes a connection to which a byte is sent every now and then."""
    async with _connection(port) as (reader, writer), asyncio.timeout(DEADLINE):
        began = time.monotonic()
        writer.write(beginning)
        closed = asyncio.create_task(reader.read())
        with suppress(ConnectionError):
            for byte in more:
                writer.write(byte)
                if (await asyncio.wait([closed], timeout=SECONDS / 10))[0]:
                    break
            await closed
        return time.monotonic() - began


@pytest.mark.parametrize(
    ("beginning", "more"),
    [
        (b"", iter(())),
        (b"G", iter(())),
        (LIVEZ + b"X-Slow: ", _trickle()),
        (LIVEZ + b"Content-Length: 9999\r\n\r\n", _trickle()),
        (LIVEZ + b"\r\n" + LIVEZ + b"X-Slow: ", _trickle()),
        (LIVEZ + b"\r\n", chain([b"", LIVEZ], _trickle())),
    ],
    ids=["nothing", "a byte", "a header", "a body", "two requests at once", "a later request"],
)
async def test_whoever_trickles_is_not_waited_for(port: int, beginning: bytes, more: Iterator[bytes]) -> None:
    assert SECONDS * 0.9 < await _until_closed(port, beginning, more) < DEADLINE


async def test_a_connection_that_is_kept_answers_again_later(port: int) -> None:
    async with _connection(port) as (reader, writer), asyncio.timeout(DEADLINE):
        for _ in range(3):
            writer.write(LIVEZ + b"\r\n")
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(
                SECONDS * 1.5
            )  # the wait itself is what is tested: nothing ends the connection meanwhile


async def test_an_answer_may_take_longer_than_the_request(port: int) -> None:
    async with _connection(port) as (reader, writer), asyncio.timeout(DEADLINE):
        writer.write(b"GET /slow HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).count(b"\r\n.\r\n") == 3


def test_the_gate_answers_a_slow_client_before_the_connection_ends() -> None:
    assert BODY_DEADLINE < BODY_SECONDS
    assert RequestTimeoutProtocol.seconds == {h11.IDLE: HEADERS_SECONDS, h11.SEND_BODY: BODY_SECONDS}
