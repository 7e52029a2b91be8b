"""An API served over HTTP, and schemathesis, which sends all that its document allows and forbids."""

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


def allow_wrong_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apps that are made afterwards refuse wrong tokens at any rate, without slowing them down."""
    monkeypatch.setattr(common.http.gate, "WRONG_TOKENS", Rate(1_000_000, 1))


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """Serve `app` on a free port, on the loop of the test, whose database it uses; yields the URL."""
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
    """Run all checks; return 0 where nothing was found, and the report, which shows how to repeat each failure.

    The problem for any other failure is left out: each status has to be described by itself.
    """
    described = json.loads(json.dumps(document))
    for operation in (one for of_path in described["paths"].values() for one in of_path.values()):
        del operation["responses"]["default"]
        stream = operation["responses"].get("200", {}).get("content", {}).get("text/event-stream")
        if stream:  # what is described is the data of an event, for generators
            stream["schema"] = {
                "type": "object",
                "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
            }
    path = folder / "document.json"
    path.write_text(json.dumps(described))
    options = ("--url", url, "--header", f"Authorization: Bearer {token}")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CHECKS), "run", str(path), *options),
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
