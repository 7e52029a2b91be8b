"""Files, connections or locks run out. When there are enough again, nothing is missing."""

import asyncio
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest

from tests.faults.support.fault import Fault
from tests.support.system import SystemClient

LASTS = 3.0
Breaks = Callable[[SystemClient], AbstractAsyncContextManager[None]]
pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]


@asynccontextmanager
async def no_more_files(name: str, client: SystemClient) -> AsyncIterator[None]:
    """The process cannot open one more file or connection."""
    pid = client.pid(name)
    had = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    former = resource.prlimit(pid, resource.RLIMIT_NOFILE, (had, hard))
    yield
    with suppress(ProcessLookupError):  # it has ended, and been replaced
        resource.prlimit(pid, resource.RLIMIT_NOFILE, former)


@asynccontextmanager
async def no_more_connections(client: SystemClient) -> AsyncIterator[None]:
    """All connections that the database allows are taken, and the services' own are terminated."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(await psycopg.AsyncConnection.connect(client.dsn, autocommit=True))
        with suppress(psycopg.OperationalError):
            while True:
                await stack.enter_async_context(await psycopg.AsyncConnection.connect(client.dsn, autocommit=True))
        await first.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ('connector', 'syncer', 'ledger')"
        )
        yield


@asynccontextmanager
async def deadlocks(client: SystemClient) -> AsyncIterator[None]:
    """Other transactions lock rows of the ledger in an order that no service uses, again and again."""

    async def lock() -> None:
        async with await psycopg.AsyncConnection.connect(client.dsn) as connection:
            while True:
                with suppress(psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
                    await connection.execute("UPDATE ledger.days SET usd = usd WHERE day = current_date")
                    await connection.execute("UPDATE ledger.days SET usd = usd WHERE day = current_date - 1")
                await connection.rollback()

    locking = [asyncio.create_task(lock()) for _ in range(2)]
    yield
    for one in locking:
        one.cancel()
    await asyncio.gather(*locking, return_exceptions=True)


FAULTS: dict[str, Breaks] = {
    **{
        f"the {name} can open no more files": partial(no_more_files, name) for name in ("connector", "syncer", "ledger")
    },
    "Postgres has no more connections": no_more_connections,
    "rows are locked crosswise": deadlocks,
}


@pytest.mark.parametrize("name", FAULTS)
async def test_nothing_is_lost_and_nothing_is_doubled_when(client: SystemClient, fault: Fault, name: str) -> None:
    async with fault(name), FAULTS[name](client):
        await asyncio.sleep(LASTS)  # the fault is an interval
