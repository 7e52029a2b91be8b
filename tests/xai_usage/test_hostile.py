"""Hostile answers: nothing is read from them, time and memory stay bounded, and the key is sent nowhere else."""

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from datetime import date, timedelta
from itertools import chain, repeat

import httpx
import pytest
from contract.problems import Code
from hypothesis import example, given, settings
from hypothesis import strategies as st
from xai_usage import Answer, CallFailed, TeamAccess, UnreadableAnswerError, client, parse
from xai_usage.answer import MAX_PARTS
from xai_usage.body import MAX_BYTES

from tests.support.wire import http, saying, server

FIRST, LAST = date(2026, 11, 1), date(2026, 11, 7)
KEY = "obviously-a-fake-management-key"
ACCESS = TeamAccess("team", KEY)
NOTHING = b'{"timeSeries": []}'
OK = b"HTTP/1.1 200 OK\r\n"
GZIP = OK + b"Content-Encoding: gzip\r\n\r\n"
IN_FLIGHT = 16 * 1024 * 1024
"""Bytes that the buffers between two processes may hold beside what was read."""

anything = settings(max_examples=150, deadline=None)


async def asked(url: str, deadline: float = 20.0) -> Answer | CallFailed:
    async with client(url, deadline=deadline) as xai:
        try:
            return await xai.ask(ACCESS, FIRST, LAST)
        except CallFailed as failed:
            return failed


def code_of(found: Answer | CallFailed) -> Code | None:
    return found.code if isinstance(found, CallFailed) else None


def _flushed() -> bytes:
    compressor = zlib.compressobj(wbits=31)
    return compressor.compress(b"") + compressor.flush(zlib.Z_FULL_FLUSH)


ENDLESS = {
    "a body": (OK + b"\r\n", b"", b" " * 65536),
    "more after what was compressed": (GZIP, gzip.compress(NOTHING), b"x" * 65536),
    "compressed files in a row": (GZIP, b"", gzip.compress(b"") * 1000),
    "compressed blocks of nothing": (GZIP, _flushed(), b"\x00\x00\x00\xff\xff" * 13_000),
    "a compressed file's name": (GZIP, b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xff", b"n" * 65536),
    "a header": (OK + b"X-Long: ", b"", b"a" * 65536),
    "headers": (OK, b"", b"X-Many: a\r\n" * 5000),
    "a chunk's extension": (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"", b"a" * 65536),
    "a trailer": (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X-T: ", b"a" * 65536),
}


@pytest.mark.parametrize(("head", "first", "more"), ENDLESS.values(), ids=ENDLESS)
async def test_an_endless_answer_is_abandoned_soon(head: bytes, first: bytes, more: bytes) -> None:
    sent = 0

    async def reply(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        for piece in chain([head, first], repeat(more)):
            writer.write(piece)
            await writer.drain()
            sent += len(piece)

    async with server(reply) as url:
        found = await asked(url)

    assert code_of(found) in {Code.ANSWER_UNREADABLE, Code.XAI_UNAVAILABLE}
    assert sent < MAX_BYTES + IN_FLIGHT


SLOW = {
    "a body that drips": (http(b"", length=10**6), b" "),
    "a refusal that drips": (http(b"", length=8000, status="403 Forbidden"), b" "),
    "early hints": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize(("head", "more"), SLOW.values(), ids=SLOW)
async def test_a_slow_answer_ends_at_the_deadline(head: bytes, more: bytes) -> None:
    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(more)
            await writer.drain()
            await asyncio.sleep(0.01)  # each piece is in time; the whole is not

    async with server(reply) as url:
        assert code_of(await asked(url, deadline=0.3)) is Code.XAI_UNAVAILABLE


ADDRESSES = st.sampled_from(
    [
        "javascript:alert(1)",
        "//elsewhere.test/",
        "https://elsewhere.test/v1/billing/teams/team/usage",
        "http://xai.test/",
        "http://[::bad",
        "http://user:password@elsewhere.test",
        "/v1/elsewhere",
        "\x00",
        "https://xai.test:99999/",
    ]
)
WORDS = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=40)


@anything
@given(
    st.sampled_from(
        [200, 201, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 418, 429, 500, 503, 599]
    ),
    st.dictionaries(
        st.sampled_from(
            ["Location", "Retry-After", "Set-Cookie", "Content-Encoding", "Content-Type", "Content-Length"]
        ),
        WORDS | ADDRESSES | st.sampled_from(["gzip", "text/html; charset=utf-16", "-1", "9" * 40]),
    ),
    st.binary(max_size=40) | st.just(NOTHING),
)
@example(302, {"Location": "javascript:alert(1)"}, b"")
async def test_no_header_breaks_the_call_or_leads_the_key_elsewhere(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    hosts: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        return httpx.Response(status, headers=raw, content=pieces())

    async with client("https://xai.test", transport=httpx.MockTransport(answer)) as xai:
        try:
            found = await xai.ask(ACCESS, FIRST, LAST)
        except CallFailed:
            pass
        else:
            assert (status, found.body) == (200, body) or headers.get("Content-Encoding") == "gzip"
    assert hosts == ["xai.test"]


async def test_a_key_is_not_redirected() -> None:
    requests: list[bytes] = []

    async def elsewhere(writer: asyncio.StreamWriter) -> None:
        requests.append(b"a request")
        await saying(http(NOTHING))(writer)

    async with server(elsewhere) as other:
        redirect = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {other}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with server(saying(redirect)) as url:
            assert code_of(await asked(url)) is Code.XAI_UNAVAILABLE
    assert requests == []


PIECES = st.sampled_from(
    [
        OK,
        GZIP,
        b"HTTP/1.1 ",
        b"\r\n",
        b"\r\n\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 7\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"1\r\n{\r\n",
        b"0\r\n\r\n",
        NOTHING,
        gzip.compress(NOTHING),
        b"\x00",
        b"\xff",
    ]
)


@pytest.mark.system  # a server that falls silent on purpose: seconds
@settings(max_examples=80, deadline=None)
@given(st.lists(PIECES | st.binary(max_size=10), max_size=8).map(b"".join))
@example(OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
async def test_any_bytes_end_the_call_as_an_answer_or_as_a_failure(reply: bytes) -> None:
    async with server(saying(reply)) as url:
        found = await asked(url)

    assert isinstance(found, CallFailed) or parse(found.body, FIRST, LAST) == found


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\xef\xbb\xbf" + NOTHING, id="byte order mark"),
        pytest.param(NOTHING.decode().encode("utf-16"), id="UTF-16"),
        pytest.param(NOTHING.decode().encode("utf-32-le"), id="UTF-32"),
        pytest.param(NOTHING + NOTHING, id="two answers"),
        pytest.param(NOTHING + b"\x00", id="NUL after the answer"),
        pytest.param(b"while(1);" + NOTHING, id="script before the answer"),
        pytest.param(b"data: " + NOTHING, id="an event"),
    ],
)
def test_only_one_json_text_in_utf8_is_an_answer(body: bytes) -> None:
    with pytest.raises(UnreadableAnswerError):
        parse(body, FIRST, LAST)


async def test_the_body_decides_and_not_its_declared_type() -> None:
    async with server(saying(http(NOTHING, "Content-Type: text/html; charset=utf-16"))) as url:
        assert code_of(await asked(url)) is None


@pytest.mark.parametrize("days", [-400, -30, -7, -2, 2, 7, 30, 36_500])
def test_an_answer_for_another_range_is_not_read_as_zeros(days: int) -> None:
    moved = [FIRST + timedelta(days=days + n) for n in range(7)]
    points = [{"timestamp": f"{day}T00:00:00Z", "values": [1]} for day in moved]

    with pytest.raises(UnreadableAnswerError):
        parse(json.dumps({"timeSeries": [{"group": ["grok"], "dataPoints": points}]}).encode(), FIRST, LAST)


@pytest.mark.parametrize("part", [b"1,", b"[],", b"{},", b'"a",'])
def test_a_swarm_of_small_parts_is_refused_before_it_fills_the_memory(part: bytes) -> None:
    swarm = b'{"timeSeries":[' + part * (MAX_BYTES // len(part)) + b"1]}"
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableAnswerError):
            parse(swarm, FIRST, LAST)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1024 * 1024


def test_the_largest_documented_answer_is_no_swarm() -> None:
    point = b'{"timestamp":"2026-11-01T00:00:00Z","values":[0]},'

    assert MAX_BYTES // len(point) * 4 < MAX_PARTS
