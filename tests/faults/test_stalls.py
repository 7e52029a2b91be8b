"""A handler that hangs times out; a process that is blocked or cut off is noticed and replaced."""

import time
from collections.abc import AsyncIterator

import pytest

from tests.faults.support.crashes import CrashingSystem, crashing_system
from tests.faults.support.fault import Fault
from tests.faults.support.load import Load
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
NOTICED_WITHIN = 45.0
"""Seconds of a stall."""
STEPS = {
    "connector": "connector.handlers:Handlers.outcomes",
    "syncer": "syncer.handlers:Handlers.sync_requests",
    "ledger": "ledger.handlers:Handlers.costs",
}


@pytest.fixture(scope="module")
async def crashing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CrashingSystem]:
    async with crashing_system(tmp_path_factory) as crashing:
        yield crashing


@pytest.fixture(scope="module")
def load(crashing: CrashingSystem) -> Load:
    return crashing.load


@pytest.mark.parametrize("service", STEPS)
async def test_a_handler_that_hangs_times_out_and_its_message_is_handled_again(
    crashing: CrashingSystem, fault: Fault, service: str
) -> None:
    """Its own timeout of 20 s ends it: an attempt that failed is progress, and the process need not be replaced."""
    client = crashing.load.client
    log = client.system.logs / f"{service}.log"

    async with fault(f"a handler of the {service} hangs"):
        pid = await _happens(crashing, service, "hang")
        await until(lambda: "TimeoutError" in log.read_text())
        assert client.pid(service) == pid


@pytest.mark.parametrize("how", ["block", "mute"])
@pytest.mark.parametrize("service", STEPS)
async def test_a_process_with_a_blocked_loop_or_without_heartbeats_is_replaced_in_time(
    crashing: CrashingSystem, fault: Fault, service: str, how: str
) -> None:
    what = {"block": "loop is blocked", "mute": "heartbeats ended"}[how]

    async with fault(f"the {service}'s {what}") as row:
        pid = await _happens(crashing, service, how)
        began = time.monotonic()
        await crashing.load.client.replaced(service, pid)
        unnoticed = time.monotonic() - began
        row.note(f"noticed after {unnoticed:.0f} s")

    assert unnoticed <= NOTICED_WITHIN


async def _happens(crashing: CrashingSystem, service: str, how: str) -> int:
    """Make it happen once; return the ID of the process."""
    point = (STEPS[service], len(crashing.plan.passed()) % 2)
    (crashing.plan.folder / "passed" / f"{point[0]}@{point[1]}").unlink(missing_ok=True)
    crashing.arm([(*point, how)])
    await until(lambda: point in crashing.plan.passed())
    return crashing.load.client.pid(service)
