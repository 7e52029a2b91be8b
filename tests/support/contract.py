"""An API under fire: served over HTTP, and asked by schemathesis whatever its own document allows and forbids."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import common.http.gate
import pytest
import uvicorn
from common.rate_limits import Rate
from fastapi import FastAPI
from grafient.local.processes import free_ports

DEADLINE = 100.0
CHECKS = Path(__file__).parents[1] / "contract" / "schemathesis.toml"


@asynccontextmanager
async def nothing(_app: FastAPI) -> AsyncIterator[None]:
    """The life of an app that opens nothing."""
    yield


def let_wrong_tokens_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong tokens are a part of what is asked: of an app that is made afterwards they are refused at any rate."""
    monkeypatch.setattr(common.http.gate, "WRONG_TOKENS", Rate(1_000_000, 1))


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """Serve `app` on a port of this machine, on the loop of the test, whose database it uses; answers the URL."""
    (port,) = free_ports(1)
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(DEADLINE):
        while not server.started:
            await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


async def fire(url: str, document: dict[str, Any], token: str, *, folder: Path) -> tuple[int, str]:
    """Run all checks; answers 0 where nothing was found, and the report, which tells how to repeat what was."""
    described = folder / "document.json"
    described.write_text(json.dumps(document))
    options = ("--url", url, "--header", f"Authorization: Bearer {token}")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CHECKS), "run", str(described), *options),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(DEADLINE):
            report, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, report.decode()
