"""A service is killed at every place where it waits: nothing is lost, and nothing is there twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from grafient.local import supervisor

from tests.faults.support.crashes import Business, Crashing, CrashPlan, crashing_system
from tests.faults.support.load import Load, Result
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1800)]
ENOUGH = 10
"""Commands that are done before it is known where the steps wait."""
PATIENCE = 90.0
"""Seconds without a kill after which a point is called out of reach."""


@pytest.fixture
async def crashing(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Crashing]:
    """Processes are started again at once."""
    monkeypatch.setattr(supervisor, "PAUSES", (0.1,))
    async with crashing_system(tmp_path_factory) as crashing:
        yield crashing


async def test_a_service_may_be_killed_wherever_it_waits(crashing: Crashing, results: list[Result]) -> None:
    load, business, plan = crashing.load, crashing.business, crashing.plan

    async with load.running(), business.running(), _refused(load):
        await until(lambda: _count(business), lambda commands: commands >= ENOUGH)
        points = plan.points()
        crashing.arm(points)
        missed = await _passed_all(plan, {(step, at) for step, at, _ in points})

    results.append(await load.heals(f"killed at each of {len(points)} places where a step waits"))
    assert await business.unanswered() == []
    assert await business.left_behind() == 0
    print(f"\n{dict(Counter(step for step, _, _ in points))}; {len(business.sent)} commands")  # noqa: T201 - what a run measured
    assert missed == set()


@asynccontextmanager
async def _refused(load: Load) -> AsyncIterator[None]:
    """Somebody asks again and again for costs that xAI refuses."""
    team = await load.world.team()
    integration_id = await load.world.connect(team)
    await load.world.control("POST", "/keys/revoke", {"key": team.key})

    async def ask() -> None:
        while True:
            await load.force(team, integration_id)
            await asyncio.sleep(0.2)  # of the load, not of a test

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def _passed_all(plan: CrashPlan, points: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """Wait until all of them have happened; answers what did not for too long."""
    loop = asyncio.get_running_loop()
    last, before = loop.time(), len(points)
    while (missed := points - plan.passed()) and loop.time() - last < PATIENCE:
        if len(missed) < before:
            last, before = loop.time(), len(missed)
        await asyncio.sleep(0.5)  # of the load, not of a test
    return missed


async def _count(business: Business) -> int:
    await asyncio.sleep(0)
    return len(business.sent)
