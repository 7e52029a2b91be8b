"""Clients that generators make of the OpenAPI documents, built as docs/http.md shows, use the whole system."""

import asyncio
import json
import os
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.node import NODE, PACKAGES
from tests.support.system import SystemClient
from tests.support.xai import Team

ROOT = Path(__file__).parents[2]
GENERATOR = ROOT / ".tools" / "clients" / "bin"
"""Of Python clients, in an environment of its own: it wants other packages than the system has."""
DOCUMENTS = {name: str(ROOT / "docs" / f"openapi-{name}.json") for name in ("connector", "ledger")}
CHECK = "--noEmit --strict --target esnext --module nodenext --allowImportingTsExtensions --erasableSyntaxOnly"
DEADLINE = 60.0


async def ran(folder: Path, *argv: str | Path, **environment: str) -> str:
    """What the program printed; it has to succeed."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=folder,
        env={"HOME": str(folder), "PATH": f"{GENERATOR}:{os.environ['PATH']}"} | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(DEADLINE):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def python(folder: Path, **where: str) -> str:
    """Made by openapi-python-client."""
    assert GENERATOR.is_dir(), "the generator is not there: make clients"
    options = ("generate", "--meta", "none", "--fail-on-warning")
    await asyncio.gather(
        *(
            ran(
                folder, GENERATOR / "openapi-python-client", *options, "--path", path, "--output-path", f"{name}_client"
            )
            for name, path in DOCUMENTS.items()
        )
    )
    shutil.copy(ROOT / "tests" / "clients" / "use_clients.py", folder)
    return await ran(folder, GENERATOR / "python", "use_clients.py", **where)


async def typescript(folder: Path, **where: str) -> str:
    """Made by @hey-api/openapi-ts, and well typed in its use."""
    assert PACKAGES.is_dir(), "the npm packages are not there: make node"
    for name in ("clients.mjs", "use_clients.ts"):
        shutil.copy(ROOT / "tests" / "node" / name, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(PACKAGES)
    await ran(folder, NODE, "clients.mjs", ".", *DOCUMENTS.values())
    compiler = PACKAGES / "typescript" / "bin" / "tsc"
    await ran(folder, NODE, compiler, *CHECK.split(), "--types", "node", "use_clients.ts")
    return await ran(folder, NODE, "use_clients.ts", **where)


async def shown(client: SystemClient, team: Team) -> dict[str, Any]:
    async def get(url: str, path: str) -> Any:
        answer = await client.http.get(f"{url}/v1/accounts/{team.account_id}/{path}")
        return answer.raise_for_status().json()

    ledger = client.address.ledger_url
    days = (await get(ledger, "costs"))["days"]
    life = await get(ledger, f"days/{days[0]['day']}")
    return {
        "usd": (await get(ledger, "summary"))["usd"],
        "days": [day["usd"] for day in days],
        "models": [row["usd"] for row in (await get(ledger, "breakdown"))["rows"]],
        "covered": [day["covered"] for day in days],
        "readings": [one["reading"] and one["reading"]["reading_id"] for one in life["integrations"]],
        "refused": "request_malformed",
        "integrations": [
            one["integration_id"] for one in (await get(client.address.connector_url, "integrations"))["integrations"]
        ],
        "requested": 202,
    }


@pytest.mark.parametrize("used", [python, typescript])
async def test_a_generated_client_reads_what_the_services_answer(
    client: SystemClient, used: Any, tmp_path: Path
) -> None:
    team, integration_id = await client.team_in_ledger()
    expected = await shown(client, team)
    where = {"CONNECTOR_URL": client.address.connector_url, "LEDGER_URL": client.address.ledger_url}

    read = json.loads(await used(tmp_path, ACCOUNT=team.account_id, TOKEN=client.address.token, **where))

    assert read.pop("followed", [integration_id]) == [integration_id]
    assert read == expected
    assert (
        sum(map(Decimal, read["models"])) == sum(map(Decimal, filter(None, read["days"]))) == Decimal(read["usd"]) > 0
    )
