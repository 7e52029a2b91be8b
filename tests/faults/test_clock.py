"""The clock of the services' machine steps, under load, while those of the database and the broker go on."""

import asyncio
import platform
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from tests.faults.support.load import Load, Result, load_on
from tests.support.waiting import until

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        (platform.system(), platform.machine()) != ("Linux", "x86_64"),
        reason="libfaketime's wheel is for Linux on x86-64",
    ),
]
LASTS = 3.0
"""Seconds between two steps."""
Steps = Callable[[int], None]


def _library() -> Path:
    spec = find_spec("libfaketime")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0], "vendor/libfaketime/src/libfaketime.so.1")


@asynccontextmanager
async def stepping(folder: Path) -> AsyncIterator[tuple[Load, Steps]]:
    """A system under a clock that steps by so many seconds when it is told to."""
    ahead = folder / "ahead"

    def step(seconds: int) -> None:
        ahead.write_text(f"{seconds:+d}")

    step(0)
    settings = {
        "LD_PRELOAD": str(_library()),
        "FAKETIME_TIMESTAMP_FILE": str(ahead),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    async with load_on(folder, teams=3, **settings) as load:
        yield load, step


async def _ahead(load: Load) -> float:
    """Seconds by which the connector's clock differs from ours, to a second."""

    async def ask() -> httpx.Response | None:
        with suppress(httpx.TransportError):  # it ends itself where the broker refuses what it says
            async with httpx.AsyncClient() as client:
                return await client.get(f"{load.world.address.connector_url}/livez")
        return None

    answer = await until(ask)
    assert answer is not None
    return (parsedate_to_datetime(answer.headers["date"]) - datetime.now(UTC)).total_seconds()


@pytest.mark.parametrize("steps", [(3600, 0), (-3600, 0), (3660, -3660, 0)], ids=str)
async def test_nothing_is_lost_and_nothing_is_doubled_when_the_services_clock_steps_an_hour(
    tmp_path: Path, results: list[Result], steps: tuple[int, ...]
) -> None:
    """More than an hour ahead the broker refuses what services say: nothing is accepted until the clock is right."""
    async with stepping(tmp_path) as (load, step):
        async with load.running():
            for seconds in steps:
                step(seconds)
                await asyncio.sleep(LASTS)  # the fault is an interval
                assert await _ahead(load) == pytest.approx(seconds, abs=3)
        results.append(await load.heals(f"the services' clock steps by {', '.join(map(str, steps))} s"))
