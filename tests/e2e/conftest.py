"""The whole system on this machine, once a run; each test brings its own team and account."""

from collections.abc import AsyncIterator

import pytest
from grafient.local.system import System

from tests.support.system import SystemClient


@pytest.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Every process, for real; the healer looks each second."""
    system = System(
        tmp_path_factory.mktemp("system"),
        lambda _text: None,
        delay_ms=0,
        durable=False,
        settings={"SYNCER_HEAL_EVERY_SECONDS": "1", "LOG_LEVEL": "INFO"},
    )
    try:
        await system.start()
        async with SystemClient(system) as world:
            await world.daily_run_is_taken()
        yield system
    finally:
        await system.stop()


@pytest.fixture
async def world(system: System) -> AsyncIterator[SystemClient]:
    """What a test sees of the system: its APIs, its topics, its database, and xAI's other side."""
    async with SystemClient(system) as world:
        yield world
        await world.clear_faults()
