"""The key-encryption key is rotated under load: no sync fails, and the former key is gone everywhere."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from contract.topics import CREDENTIALS

from tests.support.commands import in_process, start
from tests.support.purging import compacting_at_once
from tests.support.system import SystemClient
from tests.support.waiting import until
from tests.support.xai import Team

KEY_IDS = "SELECT DISTINCT envelope ->> 'key_id' FROM {} WHERE envelope IS NOT NULL ORDER BY 1"


class Keys:
    """`grafient keys` beside the running system."""

    def __init__(self, client: SystemClient) -> None:
        self.path: Path = client.system._folder / "keyring.json"  # noqa: SLF001 - where the system keeps it
        self._env = client.environment | {"KEYRING_FILE": str(self.path), "ENVIRONMENT": "local"}

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await start("keys", *arguments, "--json", env=self._env)

    async def run(self, *arguments: str) -> Any:
        """The report of a command, whatever its status."""
        return json.loads((await in_process("keys", *arguments, "--json", env=self._env)).stdout)

    def settle(self) -> None:
        """As if the file had been changed long ago."""
        os.utime(self.path, (time.time() - 3600,) * 2)


@pytest.fixture
def keys(client: SystemClient) -> Keys:
    return Keys(client)


@asynccontextmanager
async def syncing(client: SystemClient, team: Team, integration_id: str) -> AsyncIterator[list[dict[str, Any]]]:
    """Force Syncs, one after another, and how each ended."""
    ended: list[dict[str, Any]] = []

    async def go_on() -> None:
        while True:
            ended.append(await client.force(team, integration_id))

    going_on = asyncio.create_task(go_on())
    try:
        yield ended
        enough = len(ended) + 1
        await until(lambda: _count(ended, going_on), lambda count: count > enough)
    finally:
        going_on.cancel()
        await asyncio.wait([going_on])


async def _count(ended: list[dict[str, Any]], going_on: asyncio.Task[None]) -> int:
    if going_on.done():
        going_on.result()
    return len(ended)


async def _named(client: SystemClient, table: str) -> list[str]:
    return [row[0] for row in await client.rows(KEY_IDS.format(table))]


async def test_a_rotation_fails_no_sync_and_leaves_the_former_key_nowhere(client: SystemClient, keys: Keys) -> None:
    team, other = await client.team(), await client.team()
    integration_id, held_id = await client.connect(team), await client.connect(other)
    before = client.system.address().pids
    (former,) = [one["id"] for one in await keys.run("list") if one["state"] == "current"]

    async with syncing(client, team, integration_id) as ended:
        await keys.run("add", "rotated")
        assert await keys.run("use", "rotated") == {"current": "rotated"}
        await _killed_in_the_middle(client, keys, integration_id, held_id)

        done = await keys.run("rewrap")
        assert done["unsealable"] == []
        assert done["behind"] == {"connector": 0, "topic": 0, "syncer": 0}
        assert await _named(client, "connector.integrations") == ["rotated"]
        assert await _named(client, "syncer.credentials") == ["rotated"]

        keys.settle()
        assert "records on the topic" in (await keys.run("drop", former))["reason"]
        async with compacting_at_once(client) as mark:

            async def drop() -> Any:
                await mark()
                return await keys.run("drop", former)

            await until(drop, lambda report: report["dropped"] == former)
    late = await client.team()
    await client.connect(late)

    assert [one["code"] for one in ended] == [None] * len(ended)
    assert former.encode() not in b"".join(record.value or b"" for record in await client.records(CREDENTIALS.name))
    assert await keys.run("check") == []
    assert [one["id"] for one in await keys.run("list")] == ["rotated"]
    assert (await client.force(other, held_id))["code"] is None
    assert client.system.address().pids == before


async def _killed_in_the_middle(client: SystemClient, keys: Keys, free_id: str, held_id: str) -> None:
    """A re-wrapping that has moved one row and waits for another ends by kill -9."""
    async with client.owner() as connection:
        await connection.execute("SELECT 1 FROM connector.integrations WHERE integration_id = %s FOR UPDATE", [held_id])
        process = await keys.start("rewrap")
        moved = "SELECT 1 FROM connector.integrations WHERE integration_id = %s AND envelope ->> 'key_id' = 'rotated'"
        await client.row_is_there(moved, free_id)
        process.kill()
        await process.communicate()
        assert await client.rows(moved, held_id) == []
        await connection.rollback()
