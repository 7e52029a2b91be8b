"""The ledger's own tables on a real Postgres, empty for each test, used as the role that owns nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from common import logs

from tests.ledger.support.ledger import World


@pytest.fixture(scope="session")
def owned(tables_of: Callable[[str], Any]) -> Any:
    logs.configure("ledger", "INFO")  # as in production: its tracebacks never have locals, and cost little
    return tables_of("ledger")


@pytest.fixture
async def world(owned: Any) -> World:
    world = World(owned.service, owned.owner)
    await world.clear()
    return world
