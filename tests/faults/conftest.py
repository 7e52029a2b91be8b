"""A system under load; each test breaks one thing in it, and a table at the end of the run lists what followed."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.support.fault import Fault, Row, as_markdown, as_text
from tests.faults.support.load import Load, system_under_load
from tests.support.system import SystemClient

ROWS = pytest.StashKey[list[Row]]()


@pytest.fixture(scope="session")
async def load(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Load]:
    """Six connected teams on a system that tests share; a module that needs its own overrides this fixture."""
    async with system_under_load(tmp_path_factory.mktemp("faults"), teams=6) as load:
        yield load


@pytest.fixture
def client(load: Load) -> SystemClient:
    """The APIs, topics, tables and processes of the system under load."""
    return load.client


@pytest.fixture
def fault(load: Load, request: pytest.FixtureRequest) -> Fault:
    """What every test of a fault runs in."""
    return Fault(load, request.config.stash.setdefault(ROWS, []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table; as Markdown too where `FAULTS_TABLE` names a file."""
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    terminalreporter.section("faults")
    for line in as_text(rows):
        terminalreporter.write_line(line)
    if table := os.environ.get("FAULTS_TABLE"):
        Path(table).write_text("\n".join(as_markdown(rows)) + "\n")
