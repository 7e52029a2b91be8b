"""A process that makes no progress is noticed, killed and replaced."""

import signal
import time

import pytest

from tests.faults.support.fault import Fault
from tests.support.system import SystemClient

NOTICED_WITHIN = 45.0
"""Seconds of a stall."""


@pytest.mark.timeout(240)
@pytest.mark.thorough
@pytest.mark.parametrize("name", ["connector", "syncer", "ledger"])
async def test_a_process_that_is_stuck_is_replaced_in_time(client: SystemClient, fault: Fault, name: str) -> None:
    async with fault(f"the {name} is stuck forever") as row:
        began = time.monotonic()
        await client.replaced(name, client.signal(name, signal.SIGSTOP))
        unnoticed = time.monotonic() - began
        row.note(f"noticed after {unnoticed:.0f} s")

    assert unnoticed <= NOTICED_WITHIN
