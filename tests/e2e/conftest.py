"""The whole system on this machine, for all files of this folder; each test has a team and an account of its own."""

from collections.abc import AsyncIterator

import pytest
from grafient.local.system import System

from tests.support.system import SystemClient, running_system


@pytest.fixture(scope="package")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Every process, for real; the healer looks each second."""
    settings = {"SYNCER_HEAL_EVERY_SECONDS": "1", "LOG_LEVEL": "INFO"}
    async with running_system(tmp_path_factory.mktemp("system"), settings=settings) as system:
        async with SystemClient(system) as client:
            await client.daily_run_is_handled()
        yield system


@pytest.fixture
async def client(system: System) -> AsyncIterator[SystemClient]:
    """What a test sees of the system: its APIs, its topics, its database, and xAI's control API."""
    async with SystemClient(system) as client:
        yield client
        await client.clear_faults()
