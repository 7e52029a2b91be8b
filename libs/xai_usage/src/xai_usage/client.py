"""The HTTP call: exactly the documented request, bounded in time and size, every failure classified."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from importlib.metadata import version
from types import TracebackType

import httpx
from contract.problems import Code

from xai_usage.answer import Answer, OtherDaysError, UnreadableAnswerError, parse
from xai_usage.body import MAX_REFUSAL_BYTES, BodyError, read_body
from xai_usage.causes import cause_of_silence
from xai_usage.failures import READ_OF, CallMalformed, CallOtherDays, CallTransient, failure_of
from xai_usage.reading import Reading, read

IN_FLIGHT = 16
"""Calls at a time, unless there are to be more."""

_UNAVAILABLE = (
    TimeoutError,
    httpx.HTTPError,
    httpx.StreamError,
)
ROUTE = "/v1/billing/teams/{team_id}/usage"
"""What every call asks."""

_TEAM_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY = re.compile(r"[!-~]{1,512}")


@dataclass(frozen=True, slots=True)
class TeamAccess:
    """A team and a key, well-formed; raises CallMalformed otherwise, before anything is sent."""

    team_id: str
    """1-64 of `A-Za-z0-9_-`."""
    key: str = field(repr=False)
    """The Management API key in the clear: 1-512 printable ASCII characters without a space."""

    def __post_init__(self) -> None:
        if not _TEAM_ID.fullmatch(self.team_id):
            raise CallMalformed(Code.TEAM_MALFORMED)
        if not _KEY.fullmatch(self.key):  # httpx would print a header that contains a line break
            raise CallMalformed(Code.KEY_MALFORMED)


class UsageClient(AbstractAsyncContextManager["UsageClient"]):
    """Long-lived; close it with `async with` or `aclose()`.

    It sends requests to the connections themselves: nothing is redirected, and no cookie of one customer is sent with
    another's key.
    """

    def __init__(
        self,
        connections: Sequence[httpx.AsyncBaseTransport],
        base_url: httpx.URL,
        headers: Mapping[str, str],
        *,
        timeout: httpx.Timeout,
        deadline: float,
        clock: Callable[[], datetime],
    ) -> None:
        """All as `client()` builds them; `deadline`: seconds a call; `clock`: aware, for Retry-After."""
        self._connections = tuple(connections)
        self._idle = asyncio.LifoQueue[httpx.AsyncBaseTransport]()
        for connection in reversed(connections):
            self._idle.put_nowait(connection)
        self._base_url = base_url
        self._headers = headers
        self._extensions = {"timeout": timeout.as_dict()}
        self._deadline = deadline
        self._clock = clock

    @property
    def base_url(self) -> str:
        """The address that is asked; no part of it is secret."""
        return str(self._base_url)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        for connection in self._connections:
            await connection.aclose()

    async def read(self, access: TeamAccess, first_day: date, last_day: date, *, grouped: bool = True) -> Reading:
        """The whole range, both days included, read in halves where xAI cuts it; raises CallFailed."""
        return await read(partial(self.ask, access, grouped=grouped), first_day, last_day)

    async def ask(self, access: TeamAccess, first_day: date, last_day: date, *, grouped: bool = True) -> Answer:
        """One call for the range, both days included; raises CallFailed. Not grouped: one sum a day."""
        request = self._request(access, _question(first_day, last_day, grouped=grouped))
        try:
            async with asyncio.timeout(self._deadline):
                return parse(await self._body(request), first_day, last_day)
        except OtherDaysError:
            raise CallOtherDays(Code.ANSWER_UNREADABLE) from None
        except (BodyError, UnreadableAnswerError):
            raise CallTransient(Code.ANSWER_UNREADABLE, cause="HTTP 200, with another content") from None
        except _UNAVAILABLE as error:
            cause = cause_of_silence(error)
            raise CallTransient(Code.XAI_UNAVAILABLE, cause=cause) from None  # httpx's own errors hold the request

    def _request(self, access: TeamAccess, question: object) -> httpx.Request:
        path = ROUTE.format(team_id=access.team_id)
        base = self._base_url
        intended = base.raw_path.removesuffix(b"/") + path.encode()
        request = httpx.Request(
            "POST",
            base.copy_with(raw_path=intended),
            headers={**self._headers, "Authorization": f"Bearer {access.key}"},
            content=json.dumps(question, separators=(",", ":")).encode(),
            extensions=self._extensions,
        )
        if (request.url.scheme, request.url.netloc, request.url.raw_path) != (base.scheme, base.netloc, intended):
            raise CallMalformed(Code.TEAM_MALFORMED)  # a key is sent to no other address
        return request

    async def _body(self, request: httpx.Request) -> bytes:
        connection = await self._idle.get()  # the last one that was used is the least likely to be closed
        try:
            return await self._answer(await connection.handle_async_request(request))
        finally:
            self._idle.put_nowait(connection)

    async def _answer(self, response: httpx.Response) -> bytes:
        try:
            if response.status_code != httpx.codes.OK:
                headers, refusal = response.headers, await _refusal(response)
                raise failure_of(response.status_code, headers.get("Retry-After"), self._clock(), refusal)
            return await read_body(response.aiter_raw(), response.headers.get("Content-Encoding", ""))
        except httpx.RemoteProtocolError:
            raise BodyError from None  # a 200 that ends too early
        finally:
            await response.aclose()


async def _refusal(response: httpx.Response) -> bytes:
    """The body where it decides what the status means; empty where it cannot be read, or is longer than a refusal of xAI."""
    if response.status_code not in READ_OF:
        return b""
    try:
        return await read_body(response.aiter_raw(), response.headers.get("Content-Encoding", ""), MAX_REFUSAL_BYTES)
    except (BodyError, httpx.RemoteProtocolError):
        return b""


def _utc_now() -> datetime:
    return datetime.now(UTC)


def client(
    base_url: str,
    *,
    deadline: float = 30.0,
    connect_timeout: float = 5.0,
    clock: Callable[[], datetime] = _utc_now,
    contact: str = "",
    in_flight: int = IN_FLIGHT,
    transport: httpx.AsyncBaseTransport | None = None,
    wrap: Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport] = lambda pool: pool,
) -> UsageClient:
    """Build a client of the usage endpoint under `base_url` (http or https; ValueError otherwise); times in seconds.

    `contact` (printable ASCII) names the operator to xAI; `in_flight`: calls at a time, at most; `transport` replaces the
    network in tests; `wrap` is put around every connection.
    """
    url = httpx.URL(base_url)
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query or url.fragment:
        raise ValueError("the base URL is not a plain http or https address")
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "Content-Type": "application/json",
        "User-Agent": _user_agent(contact),
    }
    context = httpx.create_ssl_context(trust_env=False)
    limits = httpx.Limits(max_connections=1)  # a pool looks at all of its connections twice a request
    connections = [
        wrap(transport or httpx.AsyncHTTPTransport(verify=context, trust_env=False, limits=limits))
        for _ in range(in_flight)
    ]
    timeout = httpx.Timeout(deadline, connect=connect_timeout)
    return UsageClient(connections, url, headers, timeout=timeout, deadline=deadline, clock=clock)


def _user_agent(contact: str) -> str:
    """Such as `grafient/1.2.3 (ops@example.com)`: gateways refuse anonymous clients sooner."""
    agent = f"grafient/{version('grafient-xai-usage')}"
    return f"{agent} ({contact})" if contact else agent


def _question(first_day: date, last_day: date, *, grouped: bool) -> object:
    return {
        "analyticsRequest": {
            "timeRange": {
                "startTime": f"{first_day} 00:00:00",
                "endTime": f"{last_day + timedelta(days=1)} 00:00:00",
                "timezone": "Etc/GMT",
            },
            "timeUnit": "TIME_UNIT_DAY",
            "values": [{"name": "usd", "aggregation": "AGGREGATION_SUM"}],
            "groupBy": ["description"] if grouped else [],
            "filters": [],
        }
    }
