"""A process that makes no progress is detected, killed and replaced."""

import signal
import time

import pytest

from tests.faults.support.fault import Fault
from tests.support.system import SystemClient

DETECTED_WITHIN = 45.0
"""Seconds of a stall."""


@pytest.mark.timeout(240)
@pytest.mark.thorough
@pytest.mark.parametrize("name", ["connector", "syncer", "ledger"])
async def test_a_process_that_is_stuck_is_replaced_in_time(client: SystemClient, fault: Fault, name: str) -> None:
    async with fault(f"the {name} is stuck") as row:
        began = time.monotonic()
        await client.replaced(name, client.signal(name, signal.SIGSTOP))
        undetected = time.monotonic() - began
        row.note(f"undetected for {undetected:.0f} s")

    assert undetected <= DETECTED_WITHIN
