"""The network between the services and broker or database delays, loses, dribbles or cuts what is sent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import psycopg
import pytest

from tests.faults.support.fault import Fault
from tests.faults.support.load import Load, under_load
from tests.faults.support.network import Network, ProxiedSystem, Side, Way, toxiproxy
from tests.support.system import SystemClient
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
ROUNDS = 6
"""Cuts in succession."""
DRAINED = 2.0
"""Seconds after which nothing ends any more that began before the fault."""


@dataclass(frozen=True, slots=True)
class LoadBehindNetwork:
    """Load on services behind a network that can be broken."""

    load: Load
    network: Network


Breaks = Callable[[LoadBehindNetwork], Awaitable[None]]


@pytest.fixture(scope="module")
async def behind(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LoadBehindNetwork]:
    system = ProxiedSystem(tmp_path_factory.mktemp("networks"))
    async with toxiproxy(system) as network, under_load(system, teams=4) as load:
        yield LoadBehindNetwork(load, network)


@pytest.fixture(scope="module")
def load(behind: LoadBehindNetwork) -> Load:
    return behind.load


async def delayed(side: Side, way: Way, seconds: float, behind: LoadBehindNetwork) -> None:
    async with behind.network.delayed(side, way):
        await _no_sync_is_accepted(behind.load, seconds)


async def lost(side: Side, way: Way, seconds: float, behind: LoadBehindNetwork) -> None:
    async with behind.network.lost(side, way):
        await _no_sync_is_accepted(behind.load, seconds)


async def _no_sync_is_accepted(load: Load, seconds: float) -> None:
    await asyncio.sleep(DRAINED)  # the fault is an interval, here and below
    before = len(load.accepted)
    await asyncio.sleep(seconds - DRAINED)
    assert len(load.accepted) == before, "the network was not broken"


async def dribbled(side: Side, seconds: float, behind: LoadBehindNetwork) -> None:
    async with behind.network.dribbled(side, pause_us=50):
        await asyncio.sleep(seconds)


async def cut_after_requests(side: Side, behind: LoadBehindNetwork) -> None:
    """After more and more bytes of a connection's responses, so that each time another request is in doubt."""
    for number in range(ROUNDS):
        async with behind.network.cut_after(side, number * 300):
            await asyncio.sleep(0.5)
        await asyncio.sleep(1.0)  # of work, so that the next cut meets some


async def cut_after_commits(behind: LoadBehindNetwork) -> None:
    """Each commit waits with its response for a replica that does not exist: then the connections end."""
    client = behind.load.client
    for _ in range(ROUNDS):
        await _wait_for_replica(client, "none")
        try:
            await until(lambda: _commits_in_doubt(client))
            async with behind.network.cut_off(Side.POSTGRES):
                await _wait_for_replica(client, "")
        finally:
            await _wait_for_replica(client, "")
        await asyncio.sleep(1.0)


async def _wait_for_replica(client: SystemClient, name: str) -> None:
    async with await psycopg.AsyncConnection.connect(client.dsn, autocommit=True) as connection:
        await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'".encode())
        await connection.execute("SELECT pg_reload_conf()")


async def _commits_in_doubt(client: SystemClient) -> int:
    """Transactions that are written, and not yet confirmed to their clients."""
    ((waiting,),) = await client.rows("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    return int(waiting)


def _faults_of(side: Side, name: str, suffix: str = "") -> dict[str, Breaks]:
    return {
        f"{name} receives nothing for 10 s{suffix}": partial(delayed, side, Way.THERE, 10),
        f"{name} receives nothing for 25 s{suffix}": partial(delayed, side, Way.THERE, 25),
        f"nothing arrives from {name} for 10 s{suffix}": partial(delayed, side, Way.BACK, 10),
        f"nothing arrives from {name} for 25 s{suffix}": partial(delayed, side, Way.BACK, 25),
        f"what is sent to {name} is lost for 15 s": partial(lost, side, Way.THERE, 15),
        f"what {name} sends is lost for 15 s": partial(lost, side, Way.BACK, 15),
        f"connections to {name} are cut after a request's bytes": partial(cut_after_requests, side),
        f"{name} is reached one byte at a time": partial(dribbled, side, 10),
    }


FAULTS: dict[str, Breaks] = {
    **_faults_of(Side.BROKER, "the broker"),
    **_faults_of(Side.POSTGRES, "Postgres", ", transactions open"),
    "connections to Postgres are cut after a COMMIT's bytes": cut_after_commits,
}


@pytest.mark.parametrize("name", FAULTS)
async def test_nothing_is_lost_and_nothing_is_doubled_when(
    behind: LoadBehindNetwork, load: Load, fault: Fault, name: str
) -> None:
    async with fault(name):
        await until(lambda: len(load.accepted) - load.proven, lambda accepted: accepted >= 10)
        await FAULTS[name](behind)
