"""The clock of the services' machine steps, under load, while those of the database and the broker do not."""

import asyncio
import platform
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from tests.faults.support.fault import Fault
from tests.faults.support.load import Load, system_under_load
from tests.support.system import SystemClient
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


def _library() -> Path:
    spec = find_spec("libfaketime")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0], "vendor/libfaketime/src/libfaketime.so.1")


def _set_ahead(folder: Path, seconds: int) -> None:
    (folder / "ahead").write_text(f"{seconds:+d}")


@pytest.fixture
async def load(tmp_path: Path) -> AsyncIterator[Load]:
    """Three teams on a system with a clock that `_set_ahead` sets."""
    _set_ahead(tmp_path, 0)
    settings = {
        "LD_PRELOAD": str(_library()),
        "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "ahead"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    async with system_under_load(tmp_path, teams=3, **settings) as load:
        yield load


async def _ahead(client: SystemClient) -> float:
    """Seconds by which the connector's clock differs from ours, to a second."""

    async def ask() -> httpx.Response | None:
        with suppress(httpx.TransportError):  # it ends where the broker refuses its records
            async with httpx.AsyncClient() as http:
                return await http.get(f"{client.address.connector_url}/livez")
        return None

    response = await until(ask)
    return (parsedate_to_datetime(response.headers["date"]) - datetime.now(UTC)).total_seconds()


@pytest.mark.parametrize("steps", [(3600, 0), (-3600, 0), (3660, -3660, 0)], ids=str)
async def test_nothing_is_lost_and_nothing_is_doubled_when_the_services_clock_steps_an_hour(
    tmp_path: Path, client: SystemClient, fault: Fault, steps: tuple[int, ...]
) -> None:
    """More than an hour ahead the broker refuses the services' records: no sync is accepted meanwhile."""
    async with fault(f"the services' clock steps by {', '.join(map(str, steps))} s"):
        for seconds in steps:
            _set_ahead(tmp_path, seconds)
            await asyncio.sleep(LASTS)  # the fault is an interval
            assert await _ahead(client) == pytest.approx(seconds, abs=3)
