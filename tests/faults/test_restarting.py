"""Services that are told to stop hand everything over: nothing is given to anybody twice, by however many processes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator

import pytest
from grafient.local.processes import free_ports
from grafient.local.supervisor import Service
from grafient.local.system import System

from tests.faults.support.load import Load, Result
from tests.support.waiting import until

WORKS = 1.5
"""Seconds of work between two stops."""


async def _stopped(load: Load, name: str) -> None:
    """Told to stop, and there again."""
    system = load.world.system
    former = system.address().pids[name]
    os.kill(former, signal.SIGTERM)

    async def current() -> int:
        await asyncio.sleep(0)
        return system.address().pids[name]

    await until(current, lambda pid: pid != former)


def _another_ledger(system: System, number: int) -> Service:
    """A process more of the same group, with a name and a port of its own."""
    (port,) = free_ports(1)
    env = system.environment_of("ledger") | {"INSTANCE_NAME": f"ledger-{number}", "PORT": str(port)}
    return Service(f"ledger-{number}", (sys.executable, "-m", "ledger"), env, f"http://127.0.0.1:{port}")


@pytest.fixture
async def three_ledgers(load: Load, results: list[Result]) -> AsyncIterator[list[str]]:
    """Two processes beside the system's own; at the end the broker gives their partitions away when their sessions are over."""
    system, names = load.world.system, ["ledger-2", "ledger-3"]
    await system.supervisor.start([_another_ledger(system, number) for number in (2, 3)])
    yield ["ledger", *names]
    await system.supervisor.end(names)
    results.append(await load.heals("two of three ledgers are taken away"))


@pytest.mark.timeout(240)
async def test_services_that_are_told_to_stop_under_load_are_given_nothing_twice(
    load: Load, results: list[Result]
) -> None:
    async with load.running():
        for name in ("ledger", "syncer", "connector"):
            await asyncio.sleep(WORKS)
            await _stopped(load, name)

    results.append(await load.heals("every service is told to stop, one after another"))
    assert results[-1].twice == 0


@pytest.mark.timeout(240)
@pytest.mark.thorough
async def test_being_told_twice_in_mid_handler_ends_a_service_as_being_told_once(
    load: Load, results: list[Result]
) -> None:
    system = load.world.system
    former = system.address().pids["ledger"]
    async with load.running():
        async with load.world.locked("ledger.days"):
            await asyncio.sleep(1)  # a batch is in hand
            for _ in range(2):
                os.kill(former, signal.SIGTERM)

        async def current() -> int:
            await asyncio.sleep(0)
            return system.address().pids["ledger"]

        await until(current, lambda pid: pid != former)

    results.append(await load.heals("the ledger is told to stop twice, in mid-handler"))


@pytest.mark.timeout(240)
@pytest.mark.thorough
async def test_a_rolling_restart_of_three_ledgers_under_load_gives_nothing_twice(
    load: Load, results: list[Result], three_ledgers: list[str]
) -> None:
    async with load.running():
        for name in three_ledgers:
            await _stopped(load, name)
            await asyncio.sleep(WORKS)

    results.append(await load.heals("three ledgers are restarted one after another"))
    assert results[-1].twice == 0
