"""A swap of the ledger's tables that is killed in its midst leaves nothing half done, and stops nobody."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from tests.faults.support.load import Load, Result
from tests.support.system import SystemClient
from tests.support.waiting import until

STANDS = """SELECT n.nspname, c.relname, c.oid, c.relacl::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname ~ '^ledger($|_before_)' ORDER BY 1, 2"""
RENAMED_AND_WAITING = """SELECT 1 FROM pg_stat_activity WHERE application_name = 'grafient-ledger_rebuilt'
                         AND wait_event_type = 'Lock' AND query LIKE '%%ALTER FUNCTION%%'"""


@asynccontextmanager
async def _held_up(world: SystemClient) -> AsyncIterator[None]:
    """A swap waits when it has renamed both schemas, and its last step is to come."""
    last_step = "SELECT 1 FROM pg_proc WHERE oid = 'ledger.erase_integration(uuid)'::regprocedure FOR UPDATE"
    async with await psycopg.AsyncConnection.connect(world.address.database_url.replace("+psycopg", "")) as owner:
        await owner.execute(last_step)
        yield
        await owner.rollback()


async def _rebuild(world: SystemClient, *arguments: str) -> asyncio.subprocess.Process:
    env = os.environ | {"KAFKA_BOOTSTRAP_SERVERS": world.address.kafka, "DATABASE_URL": world.address.database_url}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ledger.operations.rebuild", *arguments, env=env, stdout=asyncio.subprocess.PIPE
    )


async def _report(world: SystemClient, *arguments: str) -> dict[str, Any]:
    process = await _rebuild(world, *arguments)
    output, _ = await process.communicate()
    assert process.returncode == 0
    report: dict[str, Any] = json.loads(output.splitlines()[-1])["report"]
    return report


@pytest.mark.timeout(300)
@pytest.mark.thorough
async def test_a_swap_that_is_killed_in_its_midst_leaves_nothing_half_done(apart: Load, results: list[Result]) -> None:
    world, (team, integration_id) = apart.world, apart.teams[0]
    before = await world.rows(STANDS)
    async with apart.running():
        async with _held_up(world):
            swap = await _rebuild(world, "--swap")
            await until(lambda: world.rows(RENAMED_AND_WAITING))
            swap.kill()
            await swap.wait()
            last = await apart.force(team, integration_id)
            assert last
            await world.ended(team, integration_id, last)  # the server has given back what the dead one held
        assert await world.rows(STANDS) == before
    results.append(await apart.heals("a swap of the ledger's tables is killed in its midst"))

    async with apart.running():
        report = await _report(world, "--swap")
    assert report["refused"] is None
    assert await world.rows(STANDS) != before
    results.append(await apart.heals("the ledger's tables are swapped under load"))
    await _report(world, "--drop", report["kept_as"])
