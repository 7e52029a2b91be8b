"""The key-encryption key is rotated while everything is at work: nobody notices, and the former key is gone everywhere."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from common.settings import KafkaSettings
from contract.cloudevents import MARKER_KEY
from contract.topics import CREDENTIALS
from grafient.topics.apply import apply_topics

from tests.support.commands import in_process, start
from tests.support.system import SystemClient, Team
from tests.support.waiting import until

AT_ONCE = {
    "segment.ms": "100",
    "max.compaction.lag.ms": "100",
    "delete.retention.ms": "100",
    "cleanup.policy": "compact",
}
KEY_IDS = "SELECT DISTINCT envelope ->> 'key_id' FROM {} WHERE envelope IS NOT NULL ORDER BY 1"


class Keys:
    """`grafient keys` beside the running system."""

    def __init__(self, world: SystemClient) -> None:
        self.path: Path = world.system._folder / "keyring.json"  # noqa: SLF001 - where the system keeps it
        self.environment = world.environment | {"KEYRING_FILE": str(self.path), "ENVIRONMENT": "local"}

    async def run(self, *arguments: str) -> Any:
        """What the command prints, whatever its status."""
        result = await in_process("keys", *arguments, "--json", env=self.environment)
        return result.json(status=result.status)

    def settle(self) -> None:
        """As if the file had been changed long ago."""
        os.utime(self.path, (time.time() - 3600,) * 2)


@pytest.fixture
def keys(world: SystemClient) -> Keys:
    return Keys(world)


@asynccontextmanager
async def syncing(world: SystemClient, team: Team, integration_id: str) -> AsyncIterator[list[dict[str, Any]]]:
    """Force Syncs, one after another, and how each ended."""
    ended: list[dict[str, Any]] = []

    async def go_on() -> None:
        while True:
            ended.append(await world.force(team, integration_id))

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


class Purging:
    """The topic of credentials with an hour's patience cut to an instant."""

    def __init__(self, admin: AIOKafkaAdminClient, producer: AIOKafkaProducer) -> None:
        self._admin = admin
        self._producer = producer

    async def hasten(self) -> None:
        topic = ConfigResource(ConfigResourceType.TOPIC, CREDENTIALS.name, CREDENTIALS.config | AT_ONCE)
        await self._admin.alter_configs([topic])

    async def mark(self) -> None:
        """What connector does every hour."""
        for partition in range(CREDENTIALS.partitions):
            await self._producer.send_and_wait(CREDENTIALS.name, b"{}", key=MARKER_KEY.encode(), partition=partition)


@pytest.fixture
async def purging(world: SystemClient) -> AsyncIterator[Purging]:
    servers = world.address.kafka
    async with AsyncExitStack() as stack:
        admin, producer = AIOKafkaAdminClient(bootstrap_servers=servers), AIOKafkaProducer(bootstrap_servers=servers)
        await admin.start()
        stack.push_async_callback(admin.close)
        await producer.start()
        stack.push_async_callback(producer.stop)
        yield Purging(admin, producer)
        await apply_topics(KafkaSettings(kafka_bootstrap_servers=servers), replication=1)


async def _named(world: SystemClient, table: str) -> list[str]:
    return [row[0] for row in await world.rows(KEY_IDS.format(table))]


async def test_a_rotation_fails_no_sync_and_leaves_the_former_key_nowhere(
    world: SystemClient, keys: Keys, purging: Purging
) -> None:
    team, other = await world.team(), await world.team()
    integration_id, held_id = await world.connect(team), await world.connect(other)
    before = world.system.address().pids
    (former,) = [one["id"] for one in await keys.run("list") if one["state"] == "current"]

    async with syncing(world, team, integration_id) as ended:
        await keys.run("add", "rotated")
        assert await keys.run("use", "rotated") == {"current": "rotated"}
        await _killed_in_the_middle(world, keys, integration_id, held_id)

        done = await keys.run("rewrap")
        assert done["unsealable"] == []
        assert done["behind"] == {"connector": 0, "topic": 0, "syncer": 0}
        assert await _named(world, "connector.integrations") == ["rotated"]
        assert await _named(world, "syncer.credentials") == ["rotated"]

        keys.settle()
        assert "records on the topic" in (await keys.run("drop", former))["reason"]
        await purging.hasten()

        async def drop() -> Any:
            await purging.mark()
            return await keys.run("drop", former)

        await until(drop, lambda report: report["dropped"] == former)
    late = await world.team()
    await world.connect(late)

    assert [one["code"] for one in ended] == [None] * len(ended)
    assert former.encode() not in b"".join(record.value or b"" for record in await world.records(CREDENTIALS.name))
    assert await keys.run("check") == []
    assert [one["id"] for one in await keys.run("list")] == ["rotated"]
    assert (await world.force(other, held_id))["code"] is None
    assert world.system.address().pids == before


async def _killed_in_the_middle(world: SystemClient, keys: Keys, free_id: str, held_id: str) -> None:
    """A re-wrapping that has moved one row and waits for another ends by kill -9."""
    url = world.address.database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("SELECT 1 FROM connector.integrations WHERE integration_id = %s FOR UPDATE", [held_id])
        process = await start("keys", "rewrap", env=keys.environment)
        moved = "SELECT 1 FROM connector.integrations WHERE integration_id = %s AND envelope ->> 'key_id' = 'rotated'"
        await until(lambda: world.rows(moved, free_id))
        process.kill()
        await process.communicate()
        assert await world.rows(moved, held_id) == []
        await connection.rollback()
