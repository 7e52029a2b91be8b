"""What hangs is ended, what is blocked or cut off is seen and started again, and the work goes on."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.faults.support.crashes import Crashing, crashing_system
from tests.faults.support.load import Result
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
SEEN_WITHIN = 45.0
"""Seconds of a stall."""
STEPS = {
    "connector": "connector.handlers:Handlers.sync_completed",
    "syncer": "syncer.handlers:Handlers.sync_requested",
    "ledger": "ledger.handlers:Handlers.costs",
}


@pytest.fixture(scope="module")
async def crashing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Crashing]:
    async with crashing_system(tmp_path_factory) as crashing:
        yield crashing


@pytest.mark.parametrize("service", STEPS)
async def test_a_handler_that_hangs_is_ended_and_its_message_handled_again(
    crashing: Crashing, results: list[Result], service: str
) -> None:
    """Ended by its own deadline of 20 s: an attempt that failed is progress, and the process need not be started again."""
    async with crashing.load.running():
        pid = await _happens(crashing, service, "hang")

        await until(lambda: _logged(crashing, service, "TimeoutError"))

    assert crashing.load.world.system.address().pids[service] == pid
    results.append(await crashing.load.heals(f"a handler of the {service} hangs"))


@pytest.mark.parametrize("how", ["block", "mute"])
@pytest.mark.parametrize("service", STEPS)
async def test_a_process_whose_loop_is_blocked_or_whose_heartbeats_ended_is_started_again_in_time(
    crashing: Crashing, results: list[Result], service: str, how: str
) -> None:
    async with crashing.load.running():
        pid = await _happens(crashing, service, how)
        began = time.monotonic()
        await until(lambda: _pid(crashing, service), lambda now: now != pid)
        unseen = time.monotonic() - began

    assert unseen <= SEEN_WITHIN
    words = {"block": "loop is blocked", "mute": "heartbeats ended"}[how]
    results.append(await crashing.load.heals(f"the {service}'s {words}, unseen for {unseen:.0f} s"))


async def _happens(crashing: Crashing, service: str, how: str) -> int:
    """Make it happen once; answers the ID of the process that it happened to."""
    point = (STEPS[service], len(crashing.plan.passed()) % 2)
    (crashing.plan.folder / "passed" / f"{point[0]}@{point[1]}").unlink(missing_ok=True)
    crashing.arm([(*point, how)])
    await until(lambda: _has_passed(crashing, point))
    return await _pid(crashing, service)


async def _has_passed(crashing: Crashing, point: tuple[str, int]) -> bool:
    await asyncio.sleep(0)
    return point in crashing.plan.passed()


async def _pid(crashing: Crashing, service: str) -> int:
    await asyncio.sleep(0)
    return crashing.load.world.system.address().pids[service]


async def _logged(crashing: Crashing, service: str, text: str) -> bool:
    log = await asyncio.to_thread((crashing.load.world.system.logs / f"{service}.log").read_text)
    return text in log
