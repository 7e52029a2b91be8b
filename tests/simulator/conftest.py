"""A simulator in-process with a fixed clock, for logic; and a real server, for what only a connection shows."""

import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime

import httpx
import pytest
from simulator.app import build
from simulator.client import Client

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
SECONDS_TO_START = 20


@pytest.fixture
async def simulator() -> AsyncIterator[Client]:
    """On 20 November 2026, 12:30 UTC."""
    app = build(seed=3, clock=lambda: NOW)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://xai.test") as http:
        yield Client(http)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, "-m", "simulator", "--port", str(port)]) as process:  # noqa: S603 - our own module
        try:
            _wait_until_ready(url := f"http://127.0.0.1:{port}")
            yield url
        finally:
            process.terminate()
            process.wait(timeout=10)


@pytest.fixture
async def served(server_url: str) -> AsyncIterator[Client]:
    """On a real connection, by the real clock; faults are cleared behind each test."""
    async with httpx.AsyncClient(base_url=server_url, timeout=10) as http:
        client = Client(http)
        yield client
        await client.control("DELETE", "/faults")


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/readyz", timeout=1).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.02)
    raise TimeoutError("the simulator did not start")
