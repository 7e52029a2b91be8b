"""One stream of the connector serves all tabs of an account, is resumed where it ended, and ends with the last tab."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest
from console.live import ATTEMPTS, AccountStream, Relay, tab_events
from fastapi import FastAPI, Request
from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse

from tests.support.contract import served
from tests.support.messages import ACCOUNT
from tests.support.waiting import until

CHANGED = b"event: changed"
END = 0
"""In the place of an event's number: the connector ends the stream."""


class FakeConnector:
    """Sends the numbered events that it is given; notes where each client resumed."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.app.get("/v1/accounts/{account_id}/events")(self.follow)
        self.resumed_after: list[str] = []
        self.open = 0
        self._events: asyncio.Queue[int] = asyncio.Queue()

    def send(self, number: int) -> None:
        self._events.put_nowait(number)

    async def follow(self, request: Request) -> StreamingResponse:
        self.resumed_after.append(request.headers["last-event-id"])
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[bytes]:
        self.open += 1
        try:
            yield format_sse_event(retry=2000)
            while number := await self._events.get():
                yield format_sse_event(event="sync", data_str="{}", id=str(number)) + b": comment\n\n"
        finally:
            self.open -= 1


@pytest.fixture
async def connector() -> FakeConnector:
    return FakeConnector()


@pytest.fixture
async def relay(connector: FakeConnector) -> AsyncIterator[Relay]:
    async with served(connector.app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        relay = Relay(client, retry=0.01, linger=0.5)  # long enough for a tab to begin on a busy machine
        yield relay
        relay.leave()
        await until(lambda: connector.open == 0)


class Tab:
    """Reads a tab's stream; counts the changes."""

    def __init__(self, stream: AccountStream) -> None:
        self.changes = 0
        self.is_open = True
        self._reading = asyncio.create_task(self._read(stream))

    async def _read(self, stream: AccountStream) -> None:
        await stream.connected.wait()
        async with aclosing(tab_events(stream, lambda: self.is_open, pause=0, keepalive=0.05)) as events:
            async for event in events:
                self.changes += CHANGED in event

    async def ended(self) -> None:
        async with asyncio.timeout(10):
            await self._reading

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.wait([self._reading])


async def test_all_tabs_of_an_account_share_one_stream(connector: FakeConnector, relay: Relay) -> None:
    tabs = [Tab(relay.stream(ACCOUNT)) for _ in range(5)]
    await until(lambda: relay.stream(ACCOUNT).tabs == 5)

    connector.send(1)

    await until(lambda: all(tab.changes == 1 for tab in tabs))
    assert connector.resumed_after == [""]
    for tab in tabs:
        await tab.close()


async def test_a_stream_that_ends_is_resumed_after_its_last_event(connector: FakeConnector, relay: Relay) -> None:
    tab = Tab(relay.stream(ACCOUNT))
    connector.send(41)
    await until(lambda: tab.changes == 1)

    connector.send(END)
    connector.send(42)

    await until(lambda: tab.changes == 2)
    assert connector.resumed_after == ["", "41"]
    await tab.close()


async def test_a_stream_outlives_its_last_tab_for_a_moment_only(connector: FakeConnector, relay: Relay) -> None:
    tab = Tab(relay.stream(ACCOUNT))
    await until(lambda: connector.open == 1)

    await tab.close()

    await until(lambda: connector.open == 0)


async def test_a_change_just_before_a_tab_is_open_is_not_missed(connector: FakeConnector, relay: Relay) -> None:
    first = Tab(relay.stream(ACCOUNT))
    connector.send(1)
    await until(lambda: first.changes == 1)

    second = Tab(relay.stream(ACCOUNT))

    await until(lambda: second.changes == 1)
    for tab in (first, second):
        await tab.close()


async def test_a_session_that_is_over_ends_its_tabs(relay: Relay) -> None:
    tab = Tab(relay.stream(ACCOUNT))
    await until(lambda: relay.stream(ACCOUNT).tabs == 1)

    tab.is_open = False

    await tab.ended()


async def test_tabs_end_when_the_connector_stays_unavailable() -> None:
    def refuse(_request: httpx.Request) -> httpx.Response:
        refused.append(1)
        raise httpx.ConnectError("refused")

    refused: list[int] = []
    async with httpx.AsyncClient(base_url="http://connector", transport=httpx.MockTransport(refuse)) as client:
        stream = Relay(client, retry=0.001).stream(ACCOUNT)
        await Tab(stream).ended()

    assert stream.lost
    assert len(refused) == ATTEMPTS
