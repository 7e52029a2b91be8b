"""The programs of docs/examples connect a team on the whole system, standing alone as in a web app."""

import asyncio
import json
import shutil
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.partitioner import murmur2
from contract.topics import COMMANDS_TOPIC

from tests.support.node import NODE, PACKAGES
from tests.support.system import SystemClient

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
DEADLINE = 60.0
LATE = 5000
"""Milliseconds until xAI answers: of a quick answer the result may be there before a deadline of 0 ends the wait."""
JAVAS_SIGN = 0x80000000
"""Where a hash has this bit, clients whose murmur2 is not Java's choose another partition."""

Program = Callable[[Path], list[str]]


def python(_folder: Path) -> list[str]:
    return [sys.executable, "-W", "error", str(EXAMPLES / "connect.py")]


def typescript(folder: Path) -> list[str]:
    """Copied into a folder of its own, with the npm packages beside it."""
    assert PACKAGES.is_dir(), "the npm packages are not there: make node"
    shutil.copy(EXAMPLES / "connect.ts", folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(PACKAGES)
    return [str(NODE), "connect.ts"]


async def ran(argv: list[str], folder: Path, stdin: str = "", **environment: str) -> tuple[int, str, str]:
    """Status, output and errors of a program that reads `stdin`."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=folder, env={"HOME": str(folder)} | environment, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        async with asyncio.timeout(DEADLINE):
            out, errors = await process.communicate(stdin.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out.decode(), errors.decode()


def account_of_another_sign() -> str:
    """An account whose commands a client with another murmur2 would put elsewhere."""
    ids = (f"account-{uuid.uuid4().hex[:12]}" for _ in range(1000))
    return next(one for one in ids if murmur2(one.encode()) & JAVAS_SIGN)


def where(client: SystemClient) -> dict[str, str]:
    """The settings of a program."""
    return {
        "CONNECTOR_URL": client.address.connector_url,
        "TOKEN": client.address.token,
        "KAFKA_BOOTSTRAP_SERVERS": client.address.kafka,
    }


@pytest.mark.parametrize("program", [python, typescript])
async def test_the_program_connects_a_team_and_prints_the_result(
    client: SystemClient, program: Program, tmp_path: Path
) -> None:
    team = replace(await client.team(), account_id=account_of_another_sign())

    status, out, errors = await ran(
        [*program(tmp_path), team.account_id, team.team_id, "pro"], tmp_path, f"{team.key}\n", **where(client)
    )

    assert (status, errors) == (0, "")
    kind, _, result = out.partition(" ")
    assert kind == "CommandSucceeded"
    card = await client.card(team, json.loads(result)["integration_id"])
    assert (card["team_id"], card["plan"]) == (team.team_id, "pro")
    (record,) = [one for one in await client.records(COMMANDS_TOPIC.name) if one.key == team.account_id.encode()]
    assert record.partition == (murmur2(record.key) & ~JAVAS_SIGN) % COMMANDS_TOPIC.partitions
    assert team.key.encode() not in record.value


@pytest.mark.parametrize("program", [python, typescript])
async def test_the_program_waits_with_a_deadline_and_then_asks_how_the_command_ended(
    client: SystemClient, program: Program, tmp_path: Path
) -> None:
    team = await client.team(delay_ms=LATE)
    argv = [*program(tmp_path), team.account_id, team.team_id, "pro"]

    status, out, errors = await ran(argv, tmp_path, f"{team.key}\n", **where(client), DEADLINE="0")

    assert (status, out) == (1, "")
    answer = json.loads(errors.removeprefix("no result yet: "))
    assert answer.get("state") or answer["code"] == "not_found"


async def test_the_typescript_program_is_well_typed(tmp_path: Path) -> None:
    typescript(tmp_path)
    check = "--noEmit --strict --noUncheckedIndexedAccess --erasableSyntaxOnly --skipLibCheck --target es2024 --module nodenext"
    argv = [str(NODE), str(PACKAGES / "typescript" / "bin" / "tsc"), *check.split(), "--types", "node", "connect.ts"]

    assert await ran(argv, tmp_path) == (0, "", "")
