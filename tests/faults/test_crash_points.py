"""A service is killed at every place where it waits: nothing is lost, and nothing is doubled."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from grafient.local import supervisor

from tests.faults.support.business import Business
from tests.faults.support.crashes import CrashingSystem, CrashPlan, crashing_system
from tests.faults.support.fault import Fault
from tests.faults.support.load import Load
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1800)]
ENOUGH = 10
"""Commands after which it is known where the steps wait."""
PATIENCE = 90.0
"""Seconds without a kill after which the remaining points count as out of reach."""


@pytest.fixture
async def crashing(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[CrashingSystem]:
    """Processes are started again at once."""
    monkeypatch.setattr(supervisor, "PAUSES", (0.1,))
    async with crashing_system(tmp_path_factory) as crashing:
        yield crashing


@pytest.fixture
def load(crashing: CrashingSystem) -> Load:
    return crashing.load


async def test_a_service_may_be_killed_wherever_it_waits(crashing: CrashingSystem, load: Load, fault: Fault) -> None:
    business, plan = Business(load.client), crashing.plan

    async with fault("killed wherever a step waits") as row, business.running(), _refused(load):
        await until(lambda: len(business.sent), lambda sent: sent >= ENOUGH)
        points = plan.points()
        row.note(f"at {len(points)} places")
        crashing.arm(points)
        missed = await _passed_all(plan, {(step, at) for step, at, _ in points})
        crashing.arm([])  # a step that is rarely reached must not end a process while healing is observed

    assert await business.without_one_result() == []
    assert await business.days_left() == 0
    print(f"\n{dict(Counter(step for step, _, _ in points))}; {len(business.sent)} commands")  # noqa: T201 - what a run measured
    assert missed == set()


@asynccontextmanager
async def _refused(load: Load) -> AsyncIterator[None]:
    """Costs are requested again and again that xAI refuses."""
    team = await load.client.team()
    integration_id = await load.client.connect(team)
    await load.client.control("POST", "/keys/revoke", {"key": team.key})

    async def request() -> None:
        while True:
            await load.force(team, integration_id)
            await asyncio.sleep(0.2)  # the pace of the load

    requesting = asyncio.create_task(request())
    try:
        yield
    finally:
        requesting.cancel()
        await asyncio.gather(requesting, return_exceptions=True)


async def _passed_all(plan: CrashPlan, points: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """Wait until all of them have happened; return those that did not for too long."""
    loop = asyncio.get_running_loop()
    last, before = loop.time(), len(points)
    while (missed := points - plan.passed()) and loop.time() - last < PATIENCE:
        if len(missed) < before:
            last, before = loop.time(), len(missed)
        await asyncio.sleep(0.5)  # the pace of the load
    return missed
