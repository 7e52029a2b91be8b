"""A system of its own, under load; each test breaks one thing in it, and a table tells what became of all of them."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.faults.support.load import Load, Result, load_on

RESULTS = pytest.StashKey[list[Result]]()


@pytest.fixture(scope="session")
async def load(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Load]:
    """Six connected teams on a system of its own."""
    async with load_on(tmp_path_factory.mktemp("faults"), teams=6) as load:
        yield load


@pytest.fixture
async def apart(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Load]:
    """The same on another system: for what takes as long as there is on the topics, which all other faults fill up."""
    async with load_on(tmp_path_factory.mktemp("apart"), teams=6) as load:
        yield load


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> list[Result]:
    """What the table at the end tells."""
    return request.config.stash.setdefault(RESULTS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table; as Markdown too where `FAULTS_TABLE` names a file."""
    found = config.stash.get(RESULTS, [])
    if not found:
        return
    terminalreporter.section("faults")
    heads = f"{'syncs':>6} {'healed after':>13} {'delivered twice':>16} {'lost':>5} {'doubled':>8}"
    terminalreporter.write_line(f"{'fault':<72} {heads}")
    for one in found:
        figures = f"{one.asked:>6} {one.healed_after:>11.1f} s {one.twice:>16} {one.lost:>5} {one.doubled:>8}"
        terminalreporter.write_line(f"{one.fault:<72} {figures}")
    if table := os.environ.get("FAULTS_TABLE"):
        Path(table).write_text("".join(_markdown(found)))


def _markdown(found: list[Result]) -> Iterator[str]:
    yield "| fault | syncs meanwhile | healed after | delivered twice | lost | doubled |\n|---|--:|--:|--:|--:|--:|\n"
    for one in found:
        yield f"| {one.fault} | {one.asked} | {one.healed_after:.1f} s | {one.twice} | {one.lost} | {one.doubled} |\n"
