"""Operators learn whom a call asked in vain, and what kind of failure it was."""

import asyncio
from datetime import date

import pytest
from xai_usage import CallFailed, TeamAccess, client

from tests.support.wire import http, saying, server

DAY = date(2026, 11, 1)
ACCESS = TeamAccess("team", "obviously-a-fake-management-key")


async def test_a_name_that_does_not_exist_is_one() -> None:
    assert await _cause("https://no-such-host.invalid") == "the name is not found (DNS)"


async def test_a_port_where_nobody_listens_refuses() -> None:
    async with await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1") as closed:
        port = closed.sockets[0].getsockname()[1]

    assert await _cause(f"http://127.0.0.1:{port}") == "the connection is refused"


async def test_a_server_without_tls_fails_in_tls() -> None:
    async with server(saying(http(b"{}"))) as url:
        cause = await _cause(url.replace("http:", "https:"))

    assert cause == "TLS fails: another protocol, or a certificate that is not trusted"


async def test_a_server_that_is_silent_is_too_slow() -> None:
    over = asyncio.Event()

    async def silent(_: asyncio.StreamWriter) -> None:
        await over.wait()

    async with server(silent) as url:
        cause = await _cause(url, deadline=0.1)
        over.set()

    assert cause == "no answer in time"


async def test_a_server_that_hangs_up_breaks_the_connection() -> None:
    async with server(saying(b"")) as url:
        assert await _cause(url) == "the connection breaks"


@pytest.mark.parametrize(("status", "cause"), [(503, "HTTP 503"), (302, "HTTP 302")])
async def test_an_answer_is_named_by_its_status(status: int, cause: str) -> None:
    async with server(saying(f"HTTP/1.1 {status} Any\r\nContent-Length: 0\r\n\r\n".encode())) as url:
        assert await _cause(url) == cause


async def _cause(url: str, deadline: float = 30.0) -> str | None:
    async with client(url, deadline=deadline) as xai:
        assert xai.base_url.startswith(url)
        with pytest.raises(CallFailed) as failed:
            await xai.ask(ACCESS, DAY, DAY)
    return failed.value.cause
