"""One part breaks under load; when it works again, all figures are right within a minute, without a person."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import psycopg
import pytest
from contract.topics import COSTS, INTEGRATIONS, SYNC_OUTCOMES, SYNC_REQUESTS

from tests.faults.support.fault import Fault
from tests.support.system import SystemClient

LASTS = 3.0
"""Seconds of a fault that is an interval."""
Breaks = Callable[[SystemClient], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def broker_killed(client: SystemClient) -> AsyncIterator[None]:
    client.signal("kafka", signal.SIGKILL)
    yield
    await client.broker_answers()


@asynccontextmanager
async def postgres_killed(client: SystemClient) -> AsyncIterator[None]:
    client.signal("postgres", signal.SIGKILL)
    yield
    await client.reconnect()


@asynccontextmanager
async def frozen(name: str, client: SystemClient) -> AsyncIterator[None]:
    client.signal(name, signal.SIGSTOP)
    yield
    client.signal(name, signal.SIGCONT)


@asynccontextmanager
async def replaced_after(name: str, how: signal.Signals, client: SystemClient) -> AsyncIterator[None]:
    await client.replaced(name, client.signal(name, how))
    yield


@asynccontextmanager
async def connections_terminated(client: SystemClient) -> AsyncIterator[None]:
    yield
    async with await psycopg.AsyncConnection.connect(client.dsn, autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ('connector', 'syncer', 'ledger')"
        )


@asynccontextmanager
async def locked(table: str, client: SystemClient) -> AsyncIterator[None]:
    async with client.locked(table):
        yield


@asynccontextmanager
async def xai_responds(fault: dict[str, Any], client: SystemClient) -> AsyncIterator[None]:
    await client.control("POST", "/faults", {"times": None, **fault})
    yield
    await client.clear_faults()


@asynccontextmanager
async def poison_on_every_partition(client: SystemClient) -> AsyncIterator[None]:
    for number in range(60):
        for topic in (COSTS, SYNC_REQUESTS, SYNC_OUTCOMES, INTEGRATIONS):
            await client.publish(topic.name, f"poison-{number}", b"\xff", {"ce_type": b"\xff"})
    yield


@asynccontextmanager
async def everything_published_again(client: SystemClient) -> AsyncIterator[None]:
    for topic in (COSTS, SYNC_REQUESTS, INTEGRATIONS):
        for record in await client.records(topic.name):
            await client.publish(topic.name, record.key.decode(), record.value, dict(record.headers))
    yield


SERVICES = ("connector", "syncer", "ledger")
QUICK: dict[str, Breaks] = {
    "every message is published again": everything_published_again,
    "the broker is killed and restarted": broker_killed,
    "Postgres is killed in mid-commit and restarted": postgres_killed,
    "all connections of the services to Postgres are terminated": connections_terminated,
    "the ledger is killed": partial(replaced_after, "ledger", signal.SIGKILL),
    "the syncer is frozen and resumed": partial(frozen, "syncer"),
    "xAI responds with 503": partial(xai_responds, {"status": 503}),
    "xAI refuses every key": partial(xai_responds, {"status": 401}),
    "every partition begins with poison": poison_on_every_partition,
}
"""What every run of the tests breaks; `make faults` breaks the others, too. Replays come first: topics only grow."""
THOROUGH: dict[str, Breaks] = {
    "the broker is frozen": partial(frozen, "kafka"),
    "Postgres is frozen": partial(frozen, "postgres"),
    "the ledger's table is locked": partial(locked, "ledger.days"),
    "the syncer's queue is locked": partial(locked, "syncer.windows"),
    "the connector's table is locked": partial(locked, "connector.integrations"),
    **{f"the {name} is killed": partial(replaced_after, name, signal.SIGKILL) for name in ("connector", "syncer")},
    **{f"the {name} is stopped by SIGTERM": partial(replaced_after, name, signal.SIGTERM) for name in SERVICES},
    **{f"the {name} is frozen and resumed": partial(frozen, name) for name in ("connector", "ledger")},
    "xAI responds with 429 and Retry-After": partial(xai_responds, {"status": 429, "headers": {"Retry-After": "1"}}),
    "xAI responds with HTML": partial(xai_responds, {"html": True}),
    "xAI resets the connection": partial(xai_responds, {"reset": True}),
    "xAI cuts its response short": partial(xai_responds, {"cut_after_bytes": 20}),
    "xAI redirects": partial(xai_responds, {"status": 307, "redirect": "http://127.0.0.1:9/"}),
    "xAI sends a gzip bomb": partial(xai_responds, {"gzip_bomb": 64 * 1024 * 1024}),
    "xAI reports that its limit is reached": partial(xai_responds, {"limit_reached_over_days": 1}),
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.thorough) for name in THOROUGH)])
async def test_nothing_is_lost_and_nothing_is_doubled_when(client: SystemClient, fault: Fault, name: str) -> None:
    async with fault(name), (QUICK | THOROUGH)[name](client):
        await asyncio.sleep(LASTS)  # the fault is an interval
