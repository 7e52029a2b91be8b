"""Services that are stopped hand over their work: no record is delivered twice, by however many processes."""

import asyncio
import signal
import sys

import pytest
from grafient.local.processes import free_ports
from grafient.local.supervisor import Service
from grafient.local.system import System

from tests.faults.support.fault import Fault
from tests.support.system import SystemClient

pytestmark = pytest.mark.timeout(300)
WORKS = 1.5
"""Seconds of work between two stops."""


async def _restarted(client: SystemClient, name: str) -> None:
    await client.replaced(name, client.signal(name, signal.SIGTERM))


def _another_ledger(system: System, name: str) -> Service:
    """One more process of the same group, with a name and a port of its own."""
    (port,) = free_ports(1)
    env = system.environment_of("ledger") | {"INSTANCE_NAME": name, "PORT": str(port)}
    return Service(name, (sys.executable, "-m", "ledger"), env, f"http://127.0.0.1:{port}")


async def test_services_that_are_restarted_under_load_receive_no_record_twice(
    client: SystemClient, fault: Fault
) -> None:
    async with fault("every service is restarted, one after another") as row:
        for name in ("ledger", "syncer", "connector"):
            await asyncio.sleep(WORKS)
            await _restarted(client, name)

    assert row.healed.redelivered == 0


@pytest.mark.thorough
async def test_a_second_sigterm_while_a_batch_is_handled_changes_nothing(client: SystemClient, fault: Fault) -> None:
    async with fault("the ledger receives SIGTERM twice while it handles a batch"):
        async with client.locked("ledger.days"):
            await asyncio.sleep(1)  # until it handles a batch
            for _ in range(2):
                stopped = client.signal("ledger", signal.SIGTERM)
        await client.replaced("ledger", stopped)


@pytest.mark.thorough
async def test_a_rolling_restart_of_three_ledgers_under_load_delivers_nothing_twice(
    client: SystemClient, fault: Fault
) -> None:
    supervisor, others = client.system.supervisor, ["ledger-2", "ledger-3"]
    await supervisor.start([_another_ledger(client.system, name) for name in others])

    async with fault("three ledgers are restarted one after another") as row:
        for name in ("ledger", *others):
            await _restarted(client, name)
            await asyncio.sleep(WORKS)
    async with fault("two of three ledgers are removed", under_load=False):
        await supervisor.end(others)

    assert row.healed.redelivered == 0
