"""One thing breaks while everything is at work; when it is mended, all figures are right within a minute, without a person."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.faults.support.load import Load, Result
from tests.support.waiting import until

LASTS = 3.0
"""Seconds of a fault that is an interval."""
Breaks = Callable[[Load], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def the_broker_is_killed_and_started_again(load: Load) -> AsyncIterator[None]:
    os.kill(load.world.system.address().pids["kafka"], signal.SIGKILL)
    yield
    await load.world.broker_answers()


@asynccontextmanager
async def postgres_is_killed_in_mid_commit_and_started_again(load: Load) -> AsyncIterator[None]:
    os.kill(load.world.system.address().pids["postgres"], signal.SIGKILL)
    yield
    await load.world.reconnect()


@asynccontextmanager
async def frozen(name: str, load: Load) -> AsyncIterator[None]:
    pid = load.world.system.address().pids[name]
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def signalled(name: str, how: signal.Signals, load: Load) -> AsyncIterator[None]:
    pid = load.world.system.address().pids[name]
    os.kill(pid, how)

    async def current() -> int:
        return load.world.system.address().pids[name]

    await until(current, lambda got: got != pid)
    yield


@asynccontextmanager
async def all_backends_are_terminated(load: Load) -> AsyncIterator[None]:
    url = load.world.address.database_url.replace("+psycopg", "")
    yield
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ('connector', 'syncer', 'ledger')"
        )


@asynccontextmanager
async def locked(table: str, load: Load) -> AsyncIterator[None]:
    async with load.world.locked(table):
        yield


@asynccontextmanager
async def xai_answers(fault: dict[str, Any], load: Load) -> AsyncIterator[None]:
    await load.world.control("POST", "/faults", {"times": None, **fault})
    yield
    await load.world.clear_faults()


@asynccontextmanager
async def poison_at_the_head_of_every_partition(load: Load) -> AsyncIterator[None]:
    for number in range(60):
        for topic in ("xai.costs.v1", "xai.sync-requests.v1", "xai.sync-outcomes.v1", "xai.integrations.v1"):
            await load.world.publish(topic, f"poison-{number}", b"\xff", {"ce_type": b"\xff"})
    yield


@asynccontextmanager
async def everything_comes_again(load: Load) -> AsyncIterator[None]:
    for topic in ("xai.costs.v1", "xai.sync-requests.v1", "xai.integrations.v1"):
        for record in await load.world.records(topic):
            await load.world.publish(topic, record.key.decode(), record.value, dict(record.headers))
    yield


SERVICES = ("connector", "syncer", "ledger")
FAULTS: dict[str, Breaks] = {
    "the broker is killed and started again": the_broker_is_killed_and_started_again,
    "the broker is frozen": partial(frozen, "kafka"),
    "Postgres is killed in mid-commit and started again": postgres_is_killed_in_mid_commit_and_started_again,
    "Postgres is frozen": partial(frozen, "postgres"),
    "all of the services' connections are terminated": all_backends_are_terminated,
    "the ledger's table is locked": partial(locked, "ledger.days"),
    "the syncer's queue is locked": partial(locked, "syncer.windows"),
    "the connector's table is locked": partial(locked, "connector.integrations"),
    **{f"the {name} is killed": partial(signalled, name, signal.SIGKILL) for name in SERVICES},
    **{f"the {name} is told to stop": partial(signalled, name, signal.SIGTERM) for name in SERVICES},
    **{f"the {name} is frozen and woken": partial(frozen, name) for name in SERVICES},
    "xAI answers 503": partial(xai_answers, {"status": 503}),
    "xAI answers 429 and asks to wait": partial(xai_answers, {"status": 429, "headers": {"Retry-After": "1"}}),
    "xAI refuses every key": partial(xai_answers, {"status": 401}),
    "xAI answers HTML": partial(xai_answers, {"html": True}),
    "xAI resets the connection": partial(xai_answers, {"reset": True}),
    "xAI cuts its answer short": partial(xai_answers, {"cut_after_bytes": 20}),
    "xAI redirects": partial(xai_answers, {"status": 307, "redirect": "http://127.0.0.1:9/"}),
    "xAI sends a gzip bomb": partial(xai_answers, {"gzip_bomb": 64 * 1024 * 1024}),
    "xAI says that its limit is reached": partial(xai_answers, {"limit_reached_over_days": 1}),
    "poison stands at the head of every partition": poison_at_the_head_of_every_partition,
    "every message comes again": everything_comes_again,
}


QUICK = {
    "the broker is killed and started again",
    "Postgres is killed in mid-commit and started again",
    "all of the services' connections are terminated",
    "the ledger is killed",
    "the syncer is frozen and woken",
    "xAI answers 503",
    "xAI refuses every key",
    "poison stands at the head of every partition",
    "every message comes again",
}
"""What every run of the tests breaks; `make faults` breaks all of it."""


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "fault", [pytest.param(one, marks=() if one in QUICK else pytest.mark.thorough) for one in FAULTS]
)
async def test_nothing_is_lost_and_nothing_is_doubled_when(load: Load, results: list[Result], fault: str) -> None:
    async with load.running(), FAULTS[fault](load):
        await asyncio.sleep(LASTS)  # the fault is an interval

    results.append(await load.heals(fault))
