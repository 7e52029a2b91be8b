"""A service that is told to stop ends by itself within 30 s, also when nothing around it answers."""

import asyncio
import os
import signal
import time

import pytest

from tests.faults.support.load import Load
from tests.support.waiting import until

STOPS_WITHIN = 30.0


@pytest.mark.timeout(240)
@pytest.mark.thorough
async def test_every_service_ends_by_itself_while_broker_and_database_do_not_answer(load: Load) -> None:
    system = load.world.system
    pids = system.address().pids
    services = {name: pids[name] for name in ("connector", "syncer", "ledger")}
    took = {}
    async with load.running():
        for name in ("kafka", "postgres"):
            os.kill(pids[name], signal.SIGSTOP)
        try:
            began = time.monotonic()
            for pid in services.values():
                os.kill(pid, signal.SIGTERM)
            for name, pid in services.items():
                await _is_gone(load, name, pid)
                took[name] = time.monotonic() - began
        finally:
            for name in ("kafka", "postgres"):
                os.kill(pids[name], signal.SIGCONT)

    assert max(took.values()) < STOPS_WITHIN, took
    await load.heals("every service is told to stop while nothing answers")


async def _is_gone(load: Load, name: str, pid: int) -> None:
    """The supervisor has started another one in its place."""

    async def current() -> int:
        await asyncio.sleep(0)
        return load.world.system.address().pids[name]

    await until(current, lambda got: got != pid)
