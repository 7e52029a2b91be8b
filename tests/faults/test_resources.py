"""Something runs out or is taken away: files, connections, a lock, offsets. When it is there again, nothing is missing."""

import asyncio
import resource
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from contract.access import group_of
from contract.topics import COSTS, SYNC_REQUESTS, Topic
from grafient.local.supervisor import Service

from tests.faults.support.load import Load, Result
from tests.support.waiting import until

LASTS = 3.0
Breaks = Callable[[Load], AbstractAsyncContextManager[None]]
pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]


def _url(load: Load) -> str:
    return load.world.address.database_url.replace("+psycopg", "")


@asynccontextmanager
async def no_more_files(name: str, load: Load) -> AsyncIterator[None]:
    """The process cannot open a file or a connection more than it has."""
    pid = load.world.system.address().pids[name]
    had = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    former = resource.prlimit(pid, resource.RLIMIT_NOFILE, (had, hard))
    yield
    with suppress(ProcessLookupError):  # it ended itself, and another one is there
        resource.prlimit(pid, resource.RLIMIT_NOFILE, former)


@asynccontextmanager
async def no_more_connections(load: Load) -> AsyncIterator[None]:
    """All that the database has are taken, and the services' own are ended."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(await psycopg.AsyncConnection.connect(_url(load), autocommit=True))
        with suppress(psycopg.OperationalError):
            while True:
                await stack.enter_async_context(await psycopg.AsyncConnection.connect(_url(load), autocommit=True))
        await first.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ('connector', 'syncer', 'ledger')"
        )
        yield


@asynccontextmanager
async def deadlocks(load: Load) -> AsyncIterator[None]:
    """Somebody locks rows of the ledger in the order that no service takes, again and again."""

    async def lock() -> None:
        async with await psycopg.AsyncConnection.connect(_url(load)) as connection:
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


@asynccontextmanager
async def no_offsets(name: str, topic: Topic, load: Load) -> AsyncIterator[None]:
    """The group forgets what it has handled while its service is away."""
    system = load.world.system
    await system.supervisor.end([name])
    admin = AdminClient({"bootstrap.servers": system.kafka.bootstrap_servers})
    await until(partial(_deleted, admin, group_of(name, topic)))  # once the member's session is over
    yield
    again = Service(name, (sys.executable, "-m", name), system.environment_of(name), system.url_of(name))
    await system.supervisor.start([again])


async def _deleted(admin: AdminClient, group: str) -> bool:
    with suppress(KafkaException):
        await asyncio.to_thread(admin.delete_consumer_groups([group])[group].result)
        return True
    return False


FAULTS: dict[str, Breaks] = {
    **{
        f"the {name} can open no more files": partial(no_more_files, name) for name in ("connector", "syncer", "ledger")
    },
    "Postgres has no more connections": no_more_connections,
    "rows are locked crosswise": deadlocks,
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_is_lost_and_nothing_is_doubled_when(load: Load, results: list[Result], fault: str) -> None:
    async with load.running(), FAULTS[fault](load):
        await asyncio.sleep(LASTS)  # the fault is an interval

    results.append(await load.heals(fault))


@pytest.mark.parametrize(("name", "topic"), [("ledger", COSTS), ("syncer", SYNC_REQUESTS)], ids=["ledger", "syncer"])
async def test_nothing_is_lost_and_nothing_is_doubled_when_offsets_are_deleted_of(
    apart: Load, results: list[Result], name: str, topic: Topic
) -> None:
    async with apart.running():
        await asyncio.sleep(LASTS)  # of work that will be given again
        async with no_offsets(name, topic, apart):
            await asyncio.sleep(LASTS)  # the fault is an interval

    results.append(await apart.heals(f"the {name}'s offsets are deleted"))
    assert results[-1].twice > 0
