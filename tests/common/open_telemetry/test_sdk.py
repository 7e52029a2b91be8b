"""OpenTelemetry's SDK in a service: what begins a trace, what others learn of it, and a collector that is unavailable."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date
from functools import partial

import httpx
import psycopg
import pytest
from common import tracing
from common.http.app import make_app
from common.open_telemetry.sdk import FLUSH_DEADLINE
from common.watchdog import Watchdog
from contract.tracing import traceparent
from fastapi import Depends, FastAPI
from structlog.testing import capture_logs
from xai_usage import ROUTE, CallRefused, TeamAccess, client

from tests.support.collector import Collector
from tests.support.tracing import recording, tracing_settings
from tests.support.urls import psycopg_url

KEY = "fake-key-of-a-team"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OF_TRACES = {"traceparent", "tracestate", "baggage"}


async def test_xai_learns_nothing_of_a_trace_and_the_span_nothing_of_team_and_key() -> None:
    asked: list[httpx.Request] = []

    async def refusal() -> AsyncIterator[bytes]:
        yield json.dumps({"error": f"no: {KEY}"}).encode()

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(401, content=refusal())

    with recording() as collector:
        wrap = partial(tracing.traced_client, route=ROUTE)
        async with client("https://xai.example", transport=httpx.MockTransport(refuse), wrap=wrap) as xai:
            with tracing.span("read window", PARENT), pytest.raises(CallRefused):
                await xai.ask(TeamAccess("team-1", KEY), date(2026, 1, 1), date(2026, 1, 2))

    assert not OF_TRACES & asked[0].headers.keys()
    (call,) = collector.named("connector", f"POST {ROUTE}")
    assert call.failed
    assert call.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 401,
        "error.type": "401",
        "network.protocol.version": "1.1",
        "server.address": "xai.example",
        "url.template": ROUTE,
    }


async def test_a_request_to_another_service_carries_the_trace_on_and_no_baggage() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200)

    with recording() as collector:
        transport = tracing.traced_client(httpx.MockTransport(answer))
        async with httpx.AsyncClient(transport=transport, trust_env=False) as http:
            with tracing.span("read window", PARENT):
                await http.get("http://ledger/v1/accounts/fake-account?key=fake-secret")

    (call,) = collector.named("connector", "GET")
    assert asked[0].headers["traceparent"] == f"00-{call.trace_id}-{call.span_id}-01"
    assert OF_TRACES & asked[0].headers.keys() == {"traceparent"}
    assert b"fake-" not in b"".join(collector.bodies)


async def test_a_call_that_belongs_to_no_trace_begins_none() -> None:
    with recording() as collector:
        transport = tracing.traced_client(httpx.MockTransport(lambda _: httpx.Response(200)))
        async with httpx.AsyncClient(transport=transport, trust_env=False) as http:
            await http.get("http://ledger/")

    assert collector.spans == []


async def test_a_request_is_served_in_a_span_that_what_follows_from_it_carries_on() -> None:
    async def carried() -> str | None:
        return tracing.trace_of_request({})

    with recording() as collector:
        app = make_app("connector", Watchdog(), _nothing, {})
        app.get("/v1/{name}")(lambda trace=Depends(carried): trace)
        transport = httpx.ASGITransport(app)
        sent = {"traceparent": PARENT, "tracestate": "fake=state", "baggage": "fake=baggage", "host": "fake.host"}
        async with httpx.AsyncClient(transport=transport, base_url="http://connector", headers=sent) as http:
            answer = await http.get("/v1/fake-account")
            for path in ("/livez", "/readyz", "/metrics", "/nowhere/fake-secret?key=fake-secret"):
                await http.get(path)

    served, unknown = collector.spans
    assert (served.name, served.trace_id, served.parent_id) == ("GET /v1/{name}", PARENT[3:35], PARENT[36:52])
    assert answer.json() == f"00-{served.trace_id}-{served.span_id}-01"
    assert (unknown.name, unknown.attributes["http.response.status_code"]) == ("GET", 404)
    assert b"fake" not in b"".join(collector.bodies)


async def test_a_statement_within_a_trace_is_its_operation_and_tables_and_no_value(postgres: str) -> None:
    with recording() as collector:
        async with await psycopg.AsyncConnection.connect(psycopg_url(postgres), autocommit=True) as connection:
            await connection.execute("SELECT 'begins no trace'")
            with tracing.span("read window", None):
                await connection.execute(
                    "SELECT %s, 'fake-text' FROM pg_class JOIN pg_type ON true LIMIT 1", ["fake-value"]
                )

    assert [span.name for span in collector.spans] == ["SELECT pg_class pg_type", "read window"]
    assert b"fake" not in b"".join(collector.bodies)


@asynccontextmanager
async def _nothing(_app: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.fixture
def silent() -> Iterator[str]:
    """A collector that takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    for thread in threading.enumerate():
        if thread.name.startswith("OtelBatch"):  # it ends with the connection
            thread.join()


def test_a_collector_that_is_silent_delays_a_stop_by_a_second_and_nothing_else(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    tracing.start("connector", tracing_settings(silent))
    with tracing.span("read window", None):
        pass

    began = time.monotonic()
    with capture_logs() as logs:
        tracing.stop()

    assert time.monotonic() - began < FLUSH_DEADLINE + 1
    assert [one["event"] for one in logs] == ["traces.not_flushed"]


async def test_while_a_collector_is_unavailable_spans_are_dropped_and_one_line_reports_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.01")
    with Collector() as closed:
        pass
    with capture_logs() as logs:
        tracing.start("connector", tracing_settings(closed.url))
        for _ in range(3000):  # more than the queue of 2048 holds
            with tracing.span("read window", None):
                pass
        async with asyncio.timeout(10):
            while not logs:
                await asyncio.sleep(0.01)
        tracing.stop()

    assert [one["event"] for one in logs] == ["traces.not_exported"]
    assert traceparent.get() is None
