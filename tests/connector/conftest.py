"""The connector's own tables on a real Postgres, empty for each test; its API without a network, a scripted xAI."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from common import logs

from tests.connector.support.commands import CommandsHarness
from tests.connector.support.connector import ConnectorHarness
from tests.connector.support.streams import StreamsHarness


@pytest.fixture(scope="session")
def owned(tables_of: Callable[[str], Any]) -> Any:
    logs.configure("connector", "INFO")  # as in production: its tracebacks never have locals, and cost little
    return tables_of("connector")


@pytest.fixture
def tests_per_minute() -> int:
    return 1000


@pytest.fixture
async def connector(owned: Any, tests_per_minute: int) -> AsyncIterator[ConnectorHarness]:
    connector = ConnectorHarness(owned.service, owned.owner, tests_per_minute=tests_per_minute)
    await connector.sql("TRUNCATE accounts, integrations, syncs, account_events")
    async with connector.http:
        yield connector


@pytest.fixture
async def commands(connector: ConnectorHarness, tmp_path: Path) -> CommandsHarness:
    """No process works by itself."""
    await connector.sql("TRUNCATE commands RESTART IDENTITY")
    return CommandsHarness(connector, tmp_path)


@pytest.fixture
async def streams(connector: ConnectorHarness) -> AsyncIterator[StreamsHarness]:
    """A connector that listens, and whose streams never poll within a test."""
    async with StreamsHarness(connector.database).open() as streams:
        yield streams
