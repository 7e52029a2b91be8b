"""One of three brokers, or two, are lost in every way: services go on by themselves, and no record is lost or doubled."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from signal import SIGKILL

import pytest
from contract.access import group_of
from contract.topics import COMMANDS_TOPIC, COSTS
from grafient.topics.replicas import replicas

from tests.faults.support.brokers import broken, cluster_of, three_brokers_under_load
from tests.faults.support.fault import Fault, Row
from tests.faults.support.load import Load
from tests.support.three_brokers import Cluster, Node
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(500)]
DEAD = 20.0
SILENT = 90.0
"""Seconds: longer than a client of aiokafka waits for an answer by default."""
ACCEPTS_WITHIN = 20.0
"""Seconds without an accepted request, while one broker is silent."""
STORES_WITHIN = 30.0
"""Seconds without an outcome, while one broker is silent."""
HEALED_WITHIN = 45.0
"""Seconds, from the moment when every replica is in sync."""
ROLES: dict[str, Callable[[Cluster], Awaitable[Node]]] = {
    "leader of a partition of costs": lambda cluster: cluster.leader(COSTS.name, 0),
    "coordinator of the ledger's group": lambda cluster: cluster.coordinator(group_of("ledger", COSTS)),
    "controller": lambda cluster: cluster.controller(),
}


@pytest.fixture(scope="module")
async def load(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Load]:
    async with three_brokers_under_load(tmp_path_factory.mktemp("brokers"), teams=6) as load:
        yield load


@pytest.fixture
def cluster(load: Load) -> Cluster:
    return cluster_of(load)


def is_healed_in_time(row: Row) -> bool:
    return row.healed.after <= HEALED_WITHIN


@pytest.mark.parametrize("role", ROLES)
async def test_a_broker_that_is_killed_stops_nobody_for_long(
    load: Load, cluster: Cluster, fault: Fault, role: str
) -> None:
    async with fault(f"of three brokers the {role} is killed for {DEAD:.0f} s") as row:
        async with broken(load) as pauses:
            node = await ROLES[role](cluster)
            await node.kill()
            await asyncio.sleep(DEAD)  # the fault is an interval
            await node.start()
        row.note(str(pauses))

    assert is_healed_in_time(row)


async def test_a_broker_that_is_silent_stops_nobody_for_as_long_as_it_is(
    load: Load, cluster: Cluster, fault: Fault
) -> None:
    async with fault(f"one of three brokers is silent for {SILENT:.0f} s") as row:
        async with broken(load) as pauses:
            with (await cluster.leader(COSTS.name, 0)).silent():
                await asyncio.sleep(SILENT)  # the fault is an interval
        row.note(str(pauses))

    assert is_healed_in_time(row)
    assert pauses.longest["connector"] <= ACCEPTS_WITHIN
    assert pauses.longest["ledger"] <= STORES_WITHIN


async def test_a_service_starts_while_a_broker_is_silent(load: Load, cluster: Cluster, fault: Fault) -> None:
    async with fault("the connector is killed while one of three brokers is silent") as row:
        await cluster.in_sync()
        with (await cluster.coordinator(group_of("connector", COMMANDS_TOPIC))).silent():
            pid = load.client.signal("connector", SIGKILL)
            pid = await load.client.replaced("connector", pid)
            await load.client.services_answer()
            accepted = len(load.accepted)
            await until(lambda: len(load.accepted) > accepted)
            assert load.client.pid("connector") == pid, "it was started once"
        await cluster.in_sync()

    assert is_healed_in_time(row)


async def test_without_a_majority_of_brokers_nothing_is_accepted_that_could_be_lost(
    load: Load, cluster: Cluster, fault: Fault
) -> None:
    async with fault(f"two of three brokers are dead for {DEAD:.0f} s") as row:
        async with broken(load) as pauses:
            dead = cluster.nodes[:2]
            await asyncio.gather(*(node.kill() for node in dead))
            await asyncio.sleep(DEAD)  # the fault is an interval
            await asyncio.gather(*(node.start() for node in dead))
        row.note(str(pauses))

    assert is_healed_in_time(row)


async def test_a_rolling_restart_of_the_brokers_needs_nobody_to_stop(
    load: Load, cluster: Cluster, fault: Fault
) -> None:
    async with fault("three brokers are restarted one after another") as row:
        async with broken(load) as pauses:
            for node in cluster.nodes:
                await node.stop()
                await node.start()
                await cluster.in_sync()
        row.note(str(pauses))

    assert is_healed_in_time(row)


async def test_partitions_move_to_other_brokers_under_load(load: Load, cluster: Cluster, fault: Fault) -> None:
    async with fault("every partition leaves a broker, and returns to it as its leader") as row:
        async with broken(load) as pauses:
            found, _ = await replicas(cluster.settings())
            leaving = cluster.nodes[0].number
            rest = [replace(one, replicas=tuple(n for n in one.replicas if n != leaving)) for one in found]
            await cluster.reassign(rest)
            await until(lambda: _replicas(cluster), lambda counts: counts == {2})
            await cluster.reassign([replace(one, replicas=(leaving, *one.replicas)) for one in rest])
            await until(lambda: _replicas(cluster), lambda counts: counts == {3})
        row.note(str(pauses))

    assert is_healed_in_time(row)


async def _replicas(cluster: Cluster) -> set[int]:
    """How many replicas partitions have; those that are being moved count both the former and the new ones."""
    found, _ = await replicas(cluster.settings())
    return {len(one.replicas) for one in found}
