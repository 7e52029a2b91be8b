"""Three processes of each service instead of one, and one again: partitions are handed over, with nothing twice."""

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest
from grafient.local.processes import free_ports
from grafient.local.supervisor import Service
from grafient.local.system import System

from tests.faults.support.brokers import SERVICES, broken, three_brokers_under_load
from tests.faults.support.fault import Fault
from tests.faults.support.load import Load

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(500)]
WORKS = 10.0
"""Seconds with three processes."""


@pytest.fixture
async def load(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Load]:
    async with three_brokers_under_load(tmp_path_factory.mktemp("scaling"), teams=6) as load:
        yield load


async def test_services_are_scaled_from_one_to_three_and_back_under_load(load: Load, fault: Fault) -> None:
    system = load.client.system
    others = [_another(system, name, number) for number in (2, 3) for name in SERVICES]

    async with fault("every service is scaled from 1 to 3 processes and back, on three brokers") as row:
        async with broken(load) as pauses:
            await system.supervisor.start(others)
            await asyncio.sleep(WORKS)
            await system.supervisor.end([one.name for one in others])
        row.note(str(pauses))

    assert row.healed.redelivered == 0


def _another(system: System, service: str, number: int) -> Service:
    """One more process of the service's groups, with a name and a port of its own."""
    (port,), name = free_ports(1), f"{service}-{number}"
    env = system.environment_of(service) | {"INSTANCE_NAME": name, "PORT": str(port)}
    return Service(name, (sys.executable, "-m", service), env, f"http://127.0.0.1:{port}")
