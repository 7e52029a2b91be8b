"""The connector's own tables on a real Postgres, empty for each test; its API without a network, xAI by script."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from common import logs

from tests.connector.support.commands import Office
from tests.connector.support.connector import World
from tests.connector.support.streams import Process


@pytest.fixture(scope="session")
def owned(tables_of: Callable[[str], Any]) -> Any:
    logs.configure("connector", "INFO")  # as in production: its tracebacks never have locals, and cost little
    return tables_of("connector")


@pytest.fixture
async def world(owned: Any) -> AsyncIterator[World]:
    world = World(owned.service, owned.owner)
    await world.sql("TRUNCATE accounts, integrations, syncs, account_events")
    async with world.http:
        yield world


@pytest.fixture
async def office(world: World, tmp_path: Path) -> Office:
    """Where commands come in and results go out; nobody works there by itself."""
    await world.sql("TRUNCATE commands RESTART IDENTITY")
    return Office(world, tmp_path)


@pytest.fixture
async def process(world: World) -> AsyncIterator[Process]:
    """A connector that hears of events at once, and whose streams never look by themselves in a test's time."""
    process = Process(world.database)
    async with process.listening():
        yield process
        await process.close()
