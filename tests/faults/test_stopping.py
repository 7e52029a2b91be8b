"""A service that receives SIGTERM ends by itself within 30 s, also when nothing that it needs answers."""

import signal
import time

import pytest

from tests.faults.support.fault import Fault
from tests.support.system import SystemClient

STOPS_WITHIN = 30.0


@pytest.mark.timeout(240)
@pytest.mark.thorough
async def test_every_service_ends_by_itself_while_broker_and_database_do_not_answer(
    client: SystemClient, fault: Fault
) -> None:
    took = {}
    async with fault("every service is stopped while nothing answers"):
        for name in ("kafka", "postgres"):
            client.signal(name, signal.SIGSTOP)
        try:
            began = time.monotonic()
            pids = {name: client.signal(name, signal.SIGTERM) for name in ("connector", "syncer", "ledger")}
            for name, pid in pids.items():
                await client.replaced(name, pid)
                took[name] = time.monotonic() - began
        finally:
            for name in ("kafka", "postgres"):
                client.signal(name, signal.SIGCONT)

    assert max(took.values()) < STOPS_WITHIN, took
