"""`grafient up` beside a running system: own ports and folder; data, ports and tokens survive; no process is left."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from grafient.local.system import System
from simulator.teams import DEMO_KEY, DEMO_TEAM

from tests.support.commands import in_process, start
from tests.support.processes import runs
from tests.support.waiting import until


@asynccontextmanager
async def _up(data: Path) -> AsyncIterator[dict[str, Any]]:
    """A second system; ended by Ctrl-C, with status 0."""
    process = await start("up", "--json", "--data", str(data))
    assert process.stdout is not None
    try:
        async with asyncio.timeout(110):
            address: dict[str, Any] = json.loads(await process.stdout.readline())
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        _, printed = await process.communicate()
    assert process.returncode == 0
    assert f"costs are read from {address['xai_url']}, the simulator" in printed.decode()
    assert [name for name, pid in address["pids"].items() if runs(pid)] == []


async def test_data_ports_and_tokens_survive_an_end_and_a_start(system: System, tmp_path: Path) -> None:
    assert system.address().pids
    async with _up(tmp_path) as address:
        body = {"team_id": DEMO_TEAM, "management_key": DEMO_KEY, "plan": "free"}
        async with httpx.AsyncClient(trust_env=False) as http:
            url = f"{address['connector_url']}/v1/accounts/kept/integrations"
            headers = {"Authorization": f"Bearer {address['token']}"}
            assert (await http.post(url, json=body, headers=headers)).status_code == 201
            second = await in_process("up", "--data", str(tmp_path))
            assert (second.status, "is in use by process" in second.stderr) == (1, True)
            before = await until(lambda: _costs(http, address), _is_covered)
    async with _up(tmp_path) as again, httpx.AsyncClient(trust_env=False) as http:
        after = await _costs(http, address)

    assert _kept(again) == _kept(address)
    assert {day["day"]: day["usd"] for day in after[:-2]} == {day["day"]: day["usd"] for day in before[:-2]}


def _kept(address: dict[str, Any]) -> dict[str, Any]:
    """Without what is new at each start: processes, and the console's link."""
    console, _, _ = address["console_url"].partition("?")
    return address | {"pids": {}, "console_url": console}


async def _costs(http: httpx.AsyncClient, address: dict[str, Any]) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {address['token']}"}
    answer = await http.get(f"{address['ledger_url']}/v1/accounts/kept/costs", headers=headers)
    days: list[dict[str, Any]] = answer.json()["days"]
    return days


def _is_covered(days: list[dict[str, Any]]) -> bool:
    return all(day["covered"] for day in days)
