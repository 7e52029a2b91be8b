"""What lies between the services and broker or database holds, loses, dribbles or cuts what is sent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import psycopg
import pytest

from tests.faults.support.load import Load, Result
from tests.faults.support.network import Network, ProxiedSystem, Side, Way
from tests.support.system import SystemClient
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
ROUNDS = 6
"""Cuts in succession."""
UNDER_WAY = 2.0
"""Seconds after which nothing comes to an end any more that began before the fault."""


@dataclass(frozen=True, slots=True)
class Behind:
    """Load on services that are behind a network."""

    load: Load
    network: Network


Breaks = Callable[[Behind], Awaitable[None]]


@pytest.fixture(scope="module")
async def behind(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Behind]:
    """Four teams on a system of their own."""
    system = ProxiedSystem(tmp_path_factory.mktemp("networks"))
    async with system.running() as network, SystemClient(system) as world:
        load = Load(world)
        await load.connect(4)
        yield Behind(load, network)


async def _much_is_under_way(load: Load) -> None:
    async def asked() -> int:
        return len(load.accepted) - load.told

    await until(asked, lambda got: got >= 10)


async def held(side: Side, way: Way, seconds: float, behind: Behind) -> None:
    async with behind.network.held(side, way):
        await _nothing_is_accepted(behind.load, seconds)


async def swallowed(side: Side, way: Way, seconds: float, behind: Behind) -> None:
    async with behind.network.swallowed(side, way):
        await _nothing_is_accepted(behind.load, seconds)


async def _nothing_is_accepted(load: Load, seconds: float) -> None:
    await asyncio.sleep(UNDER_WAY)  # the fault is an interval, here and below
    before = len(load.accepted)
    await asyncio.sleep(seconds - UNDER_WAY)
    assert len(load.accepted) == before, "the network was not broken"


async def dribbled(side: Side, seconds: float, behind: Behind) -> None:
    async with behind.network.dribbled(side, pause_us=50):
        await asyncio.sleep(seconds)


async def cut_after_requests(side: Side, behind: Behind) -> None:
    """Behind more and more of a connection's answers, so that now this request is in doubt and now that."""
    for number in range(ROUNDS):
        async with behind.network.unheard(side, after=number * 300):
            await asyncio.sleep(0.5)
        await asyncio.sleep(1.0)  # work goes on, so that the next cut meets some


async def cut_after_commits(behind: Behind) -> None:
    """Each commit waits with its answer for a replica that is not there: then the connections end."""
    world = behind.load.world
    for _ in range(ROUNDS):
        await _wait_for_replica(world, "nobody")
        try:
            await until(lambda: _commits_in_doubt(world))
            async with behind.network.cut_off(Side.POSTGRES):
                await _wait_for_replica(world, "")
        finally:
            await _wait_for_replica(world, "")
        await asyncio.sleep(1.0)


async def _wait_for_replica(world: SystemClient, name: str) -> None:
    url = world.address.database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'".encode())
        await connection.execute("SELECT pg_reload_conf()")


async def _commits_in_doubt(world: SystemClient) -> int:
    """Transactions that are written down, and whose clients have not heard of it."""
    ((waiting,),) = await world.rows("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    return int(waiting)


FAULTS: dict[str, Breaks] = {
    "the broker hears nothing for 10 s": partial(held, Side.BROKER, Way.THERE, 10),
    "the broker hears nothing for 25 s": partial(held, Side.BROKER, Way.THERE, 25),
    "the broker is not heard for 10 s": partial(held, Side.BROKER, Way.BACK, 10),
    "the broker is not heard for 25 s": partial(held, Side.BROKER, Way.BACK, 25),
    "what is sent to the broker is lost for 15 s": partial(swallowed, Side.BROKER, Way.THERE, 15),
    "what the broker sends is lost for 15 s": partial(swallowed, Side.BROKER, Way.BACK, 15),
    "the broker's connections are cut after a request's bytes": partial(cut_after_requests, Side.BROKER),
    "the broker is reached one byte at a time": partial(dribbled, Side.BROKER, 10),
    "Postgres hears nothing for 10 s, transactions open": partial(held, Side.POSTGRES, Way.THERE, 10),
    "Postgres hears nothing for 25 s, transactions open": partial(held, Side.POSTGRES, Way.THERE, 25),
    "Postgres is not heard for 10 s, transactions open": partial(held, Side.POSTGRES, Way.BACK, 10),
    "Postgres is not heard for 25 s, transactions open": partial(held, Side.POSTGRES, Way.BACK, 25),
    "what is sent to Postgres is lost for 15 s": partial(swallowed, Side.POSTGRES, Way.THERE, 15),
    "what Postgres sends is lost for 15 s": partial(swallowed, Side.POSTGRES, Way.BACK, 15),
    "Postgres' connections are cut after a request's bytes": partial(cut_after_requests, Side.POSTGRES),
    "Postgres' connections are cut after a COMMIT's bytes": cut_after_commits,
    "Postgres is reached one byte at a time": partial(dribbled, Side.POSTGRES, 10),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_is_lost_and_nothing_is_doubled_when(behind: Behind, results: list[Result], fault: str) -> None:
    async with behind.load.running():
        await _much_is_under_way(behind.load)
        await FAULTS[fault](behind)

    results.append(await behind.load.heals(fault))
