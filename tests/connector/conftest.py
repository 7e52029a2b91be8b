"""The connector's own tables on a real Postgres, empty for each test; its API without a network, xAI by script."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from connector_world import World


@pytest.fixture(scope="session")
def owned(tables_of: Callable[[str], Any]) -> Any:
    return tables_of("connector")


@pytest.fixture
async def world(owned: Any) -> AsyncIterator[World]:
    world = World(owned.service, owned.owner)
    await world.sql("TRUNCATE accounts, integrations, syncs")
    async with world.http:
        yield world
