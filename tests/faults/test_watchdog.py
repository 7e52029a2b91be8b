"""A process that makes no progress is seen, ended and started again, and the work goes on."""

import asyncio
import os
import signal
import time

import pytest

from tests.faults.support.load import Load, Result
from tests.support.waiting import until

SEEN_WITHIN = 45.0
"""Seconds of a stall."""


@pytest.mark.timeout(240)
@pytest.mark.thorough
@pytest.mark.parametrize("name", ["connector", "syncer", "ledger"])
async def test_a_process_whose_loop_is_stuck_is_started_again_in_time(
    load: Load, results: list[Result], name: str
) -> None:
    system = load.world.system
    stuck = system.address().pids[name]

    async def current() -> int:
        await asyncio.sleep(0)
        return system.address().pids[name]

    async with load.running():
        began = time.monotonic()
        os.kill(stuck, signal.SIGSTOP)
        await until(current, lambda pid: pid != stuck)
        unseen = time.monotonic() - began

    assert unseen <= SEEN_WITHIN
    results.append(await load.heals(f"the {name} is stuck for ever, unseen for {unseen:.0f} s"))
