import asyncio
import gzip
import json
import logging
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from itertools import count

import httpx
import pytest
from contract.problems import Code
from xai_usage import (
    CallFailed,
    CallMalformed,
    CallOtherDays,
    CallRefused,
    CallTransient,
    TeamAccess,
    UsageClient,
    client,
)
from xai_usage.body import MAX_BYTES, MAX_REFUSAL_BYTES

from tests.support.waiting import until
from tests.support.wire import http, saying, server

FIRST, LAST = date(2026, 11, 1), date(2026, 11, 7)
NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
KEY = "obviously-a-fake-management-key"
ACCESS = TeamAccess("3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f", KEY)
ANSWER = json.dumps(
    {"timeSeries": [{"group": ["grok"], "dataPoints": [{"timestamp": "2026-11-01T00:00:00Z", "values": [0.1]}]}]}
).encode()


OWN = b'{"code": 7, "message": "account details", "details": []}'
"""A refusal in the form of gRPC."""


def mocked(answer: Callable[[httpx.Request], httpx.Response], base_url: str = "https://xai.test") -> UsageClient:
    return client(base_url, clock=lambda: NOW, transport=httpx.MockTransport(answer))


async def streamed(body: bytes) -> AsyncIterator[bytes]:
    yield body


def ok(body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.Response(200, content=streamed(body), headers=headers)


def answering(status: int, **response: object) -> UsageClient:
    return mocked(lambda _: httpx.Response(status, **response))  # type: ignore[arg-type] # as httpx.Response takes them


async def failure(xai: UsageClient, access: TeamAccess = ACCESS) -> CallFailed:
    async with xai:
        with pytest.raises(CallFailed) as caught:
            await xai.ask(access, FIRST, LAST)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    return caught.value


async def test_each_call_in_flight_has_a_connection_of_its_own_and_further_ones_wait() -> None:
    in_flight, answered, release = Counter[int](), Counter[int](), asyncio.Event()

    def connection(number: int) -> httpx.MockTransport:
        async def answer(_: httpx.Request) -> httpx.Response:
            in_flight[number] += 1
            await release.wait()
            in_flight[number] -= 1
            answered[number] += 1
            return ok(ANSWER)

        return httpx.MockTransport(answer)

    numbers = count()
    every = client("https://xai.test", in_flight=40, wrap=lambda _: connection(next(numbers)))
    calls = [asyncio.create_task(every.ask(ACCESS, FIRST, LAST)) for _ in range(50)]
    await until(lambda: in_flight.total() == 40)
    assert set(in_flight.values()) == {1}
    release.set()
    await asyncio.gather(*calls)

    assert answered.total() == 50
    assert len(answered) == 40
    answered.clear()
    for _ in range(3):
        await every.ask(ACCESS, FIRST, LAST)
    assert list(answered.values()) == [3]  # the connection that is open


async def test_the_request_is_exactly_the_documented_one() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return ok(ANSWER)

    async with mocked(answer) as xai:
        await xai.ask(ACCESS, FIRST, LAST)
        await xai.ask(ACCESS, FIRST, FIRST, grouped=False)
    grouped, whole = asked
    assert (grouped.method, str(grouped.url)) == (
        "POST",
        "https://xai.test/v1/billing/teams/3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f/usage",
    )
    assert grouped.headers["Authorization"] == f"Bearer {KEY}"
    assert grouped.headers["Content-Type"] == "application/json"
    assert grouped.headers["Accept-Encoding"] == "gzip"
    assert json.loads(grouped.content) == {
        "analyticsRequest": {
            "timeRange": {
                "startTime": "2026-11-01 00:00:00",
                "endTime": "2026-11-08 00:00:00",
                "timezone": "Etc/GMT",
            },
            "timeUnit": "TIME_UNIT_DAY",
            "values": [{"name": "usd", "aggregation": "AGGREGATION_SUM"}],
            "groupBy": ["description"],
            "filters": [],
        }
    }
    assert json.loads(whole.content)["analyticsRequest"]["groupBy"] == []


async def test_a_base_url_may_have_a_path() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return ok(b"{}")

    async with mocked(answer, "http://proxy.test:8080/xai/") as xai:
        await xai.ask(TeamAccess("team", KEY), FIRST, LAST)
    assert asked == ["http://proxy.test:8080/xai/v1/billing/teams/team/usage"]


@pytest.mark.parametrize(
    "base_url", ["", "xai.test", "ftp://xai.test", "https://", "https://u:p@xai.test", "https://x/?a"]
)
def test_a_base_url_that_is_none_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        client(base_url)


@pytest.mark.parametrize("team_id", ["", "a" * 65, "a/b", "..", "a b", "team\n", "a%2fb", "a?b", "é", "a.b"])
def test_a_team_id_that_is_none_is_refused_before_any_request(team_id: str) -> None:
    with pytest.raises(CallMalformed) as caught:
        TeamAccess(team_id, KEY)
    assert caught.value.code is Code.TEAM_MALFORMED


@pytest.mark.parametrize(
    "key", ["", "a" * 513, "two words", "line\nbreak", "trailing\n", "tab\t", "ключ", "nul\x00", "\x7f"]
)
def test_a_key_that_is_none_is_refused_before_any_request_and_named_nowhere(key: str) -> None:
    with pytest.raises(CallMalformed) as caught:
        TeamAccess("team", key)
    assert caught.value.code is Code.KEY_MALFORMED
    assert not key.strip() or key not in repr(caught.value)


def test_an_access_does_not_show_its_key() -> None:
    assert KEY not in repr(ACCESS)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [(403, CallRefused, Code.ACCESS_DENIED), (429, CallTransient, Code.RATE_LIMITED)],
)
async def test_a_failure_follows_from_status_and_headers_and_its_body_is_repeated_nowhere(
    status: int, kind: type[CallFailed], code: Code
) -> None:
    found = await failure(answering(status, stream=httpx.ByteStream(OWN), headers={"Retry-After": "9"}))
    assert (type(found), found.code) == (kind, code)
    assert found.retry_after == (9 if kind is CallTransient else None)
    assert "account" not in "".join(traceback.format_exception(found))


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(http(OWN, status="403 Forbidden"), id="plain"),
        pytest.param(http(gzip.compress(OWN), "Content-Encoding: gzip", status="403 Forbidden"), id="compressed"),
    ],
)
async def test_the_body_of_a_refusal_is_read(reply: bytes) -> None:
    async with server(saying(reply)) as url:
        assert (await failure(client(url))).code is Code.ACCESS_DENIED


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(http(OWN, length=len(OWN) + 1, status="403 Forbidden"), id="cut off"),
        pytest.param(http(OWN, "Content-Encoding: br", status="403 Forbidden"), id="another compression"),
        pytest.param(http(OWN.ljust(MAX_REFUSAL_BYTES + 1), status="403 Forbidden"), id="too long"),
        pytest.param(
            http(gzip.compress(bytes(20 * MAX_BYTES)), "Content-Encoding: gzip", status="403 Forbidden"), id="a bomb"
        ),
        pytest.param(http(b"<html>Attention Required!</html>", status="403 Forbidden"), id="a page"),
    ],
)
async def test_a_refusal_that_is_not_xais_own_means_that_xai_is_unavailable(reply: bytes) -> None:
    async with server(saying(reply)) as url:
        found = await failure(client(url))
    assert (type(found), found.code) == (CallTransient, Code.XAI_UNAVAILABLE)


async def test_an_answer_about_other_days_is_unreadable_in_a_way_of_its_own() -> None:
    found = await failure(mocked(lambda _: ok(ANSWER.replace(b"T00:", b"T07:"))))
    assert (type(found), found.code) == (CallOtherDays, Code.ANSWER_UNREADABLE)


@pytest.mark.parametrize(("contact", "suffix"), [("", ""), ("ops@example.com", " (ops@example.com)")])
async def test_the_client_names_itself_and_whom_to_ask(contact: str, suffix: str) -> None:
    agents: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        agents.append(request.headers["User-Agent"])
        return ok(b"{}")

    async with client("https://xai.test", contact=contact, transport=httpx.MockTransport(answer)) as xai:
        await xai.ask(ACCESS, FIRST, LAST)
    assert agents == [f"grafient/{version('grafient-xai-usage')}{suffix}"]


async def test_a_retry_after_date_is_counted_from_the_clock() -> None:
    found = await failure(answering(429, headers={"Retry-After": "Mon, 23 Nov 2026 06:00:42 GMT"}))
    assert found.retry_after == 42


async def test_no_cookie_of_one_customers_answer_travels_with_the_next_call() -> None:
    cookies: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        cookies.append(request.headers.get("Cookie"))
        return ok(b"{}", {"Set-Cookie": "session=one-customers; Path=/"})

    async with mocked(answer) as xai:
        await xai.ask(ACCESS, FIRST, LAST)
        await xai.ask(TeamAccess("another", KEY), FIRST, LAST)
    assert cookies == [None, None]


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError])
async def test_a_broken_connection_means_that_xai_is_unavailable(error: type[httpx.TransportError]) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error(KEY)

    found = await failure(mocked(answer))
    assert (type(found), found.code) == (CallTransient, Code.XAI_UNAVAILABLE)


@pytest.mark.parametrize("body", [b"<html>", b'{"code": 13, "message": "?"}', ANSWER[:-1]])
async def test_a_200_that_is_not_the_documented_answer_is_unreadable(body: bytes) -> None:
    found = await failure(mocked(lambda _: ok(body)))
    assert (type(found), found.code) == (CallTransient, Code.ANSWER_UNREADABLE)


async def test_a_range_that_xai_cuts_is_read_in_halves() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        start = json.loads(request.content)["analyticsRequest"]["timeRange"]["startTime"][:10]
        whole = start == str(FIRST) and b"2026-11-08" in request.content
        point = {"timestamp": f"{start}T00:00:00Z", "values": [1.5]}
        return ok(json.dumps({"timeSeries": [{"dataPoints": [point]}], "limitReached": whole}).encode())

    async with mocked(answer) as xai:
        reading = await xai.read(ACCESS, FIRST, LAST)
    assert [(part.first_day.day, part.last_day.day) for part in reading.parts] == [(1, 4), (5, 7)]
    assert {day.day for day, costs in reading.days.items() if costs} == {1, 5}


async def test_a_compressed_answer_is_read_and_kept_decompressed() -> None:
    async with server(saying(http(gzip.compress(ANSWER), "Content-Encoding: gzip"))) as url, client(url) as xai:
        reading = await xai.read(ACCESS, FIRST, LAST)
    assert reading.days[FIRST] == {"grok": Decimal("0.1")}
    assert [part.body for part in reading.parts] == [ANSWER]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(http(ANSWER, length=len(ANSWER) + 1), id="shorter than announced"),
        pytest.param(http(gzip.compress(ANSWER)[:-9], "Content-Encoding: gzip"), id="compressed and cut"),
        pytest.param(http(gzip.compress(ANSWER) + b"more", "Content-Encoding: gzip"), id="more than was compressed"),
        pytest.param(http(ANSWER, "Content-Encoding: gzip"), id="not compressed at all"),
        pytest.param(http(gzip.compress(gzip.compress(ANSWER)), "Content-Encoding: gzip, gzip"), id="compressed twice"),
        pytest.param(http(ANSWER, "Content-Encoding: br"), id="another compression"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}   \r\n", id="without its last chunk"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + ANSWER[:-1], id="ended by closing"),
    ],
)
async def test_a_cut_or_damaged_body_is_unreadable(reply: bytes) -> None:
    async with server(saying(reply)) as url:
        assert (await failure(client(url))).code is Code.ANSWER_UNREADABLE


@pytest.mark.parametrize("reply", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200"])
async def test_a_server_without_http_means_that_xai_is_unavailable(reply: bytes) -> None:
    async with server(saying(reply)) as url:
        assert (await failure(client(url))).code is Code.XAI_UNAVAILABLE


async def test_a_server_without_tls_gets_no_key() -> None:
    async with server(saying(http(b"{}"))) as url:
        assert (await failure(client(url.replace("http:", "https:")))).code is Code.XAI_UNAVAILABLE


async def test_a_closed_port_means_that_xai_is_unavailable() -> None:
    async with server(saying(b"")) as url:
        pass
    assert (await failure(client(url))).code is Code.XAI_UNAVAILABLE


async def test_a_bomb_is_stopped_before_it_is_unpacked() -> None:
    bomb = gzip.compress(bytes(20 * MAX_BYTES))
    async with server(saying(http(bomb, "Content-Encoding: gzip"))) as url:
        assert (await failure(client(url))).code is Code.ANSWER_UNREADABLE


async def test_an_answer_that_just_fits_is_read() -> None:
    body = ANSWER.ljust(MAX_BYTES)
    async with server(saying(http(gzip.compress(body), "Content-Encoding: gzip"))) as url, client(url) as xai:
        assert (await xai.ask(ACCESS, FIRST, LAST)).body == body


async def test_being_cancelled_is_no_failure_of_xai() -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def reply(_: asyncio.StreamWriter) -> None:
        asked.set()
        await answered.wait()

    async with server(reply) as url, client(url) as xai:
        call = asyncio.ensure_future(xai.ask(ACCESS, FIRST, LAST))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        answered.set()


async def test_no_proxy_of_the_environment_sees_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with server(saying(http(ANSWER))) as url, client(url) as xai:
        assert (await xai.ask(ACCESS, FIRST, LAST)).days[FIRST]


async def test_the_key_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with server(saying(http(ANSWER))) as url, client(url) as xai:
        await xai.ask(ACCESS, FIRST, LAST)
    assert KEY not in caplog.text
