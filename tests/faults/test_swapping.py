"""A swap of the ledger's tables that is killed half-way changes nothing, and stops nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from signal import Signals
from typing import Any

import psycopg
import pytest

from tests.faults.support.fault import Fault
from tests.faults.support.load import Load, system_under_load
from tests.support import commands
from tests.support.processes import signal_with_children
from tests.support.system import SystemClient
from tests.support.waiting import until

TABLES = """SELECT n.nspname, c.relname, c.oid, c.relacl::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname ~ '^ledger($|_before_)' ORDER BY 1, 2"""
RENAMED_AND_WAITING = """SELECT 1 FROM pg_stat_activity WHERE application_name = 'grafient-ledger_rebuilt'
                         AND wait_event_type = 'Lock' AND query LIKE '%%ALTER FUNCTION%%'"""
pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]


@pytest.fixture
async def load(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Load]:
    """A system of its own: a rebuild takes as long as there are records on the topics, which all other faults fill."""
    async with system_under_load(tmp_path_factory.mktemp("swapping"), teams=6) as load:
        yield load


@asynccontextmanager
async def _last_step_locked(client: SystemClient) -> AsyncIterator[None]:
    """A swap waits after it has renamed both schemas, before its last step."""
    last_step = "SELECT 1 FROM pg_proc WHERE oid = 'ledger.erase_integration(uuid)'::regprocedure FOR UPDATE"
    async with await psycopg.AsyncConnection.connect(client.dsn) as owner:
        await owner.execute(last_step)
        yield
        await owner.rollback()


def _environment(client: SystemClient) -> dict[str, str]:
    return {"KAFKA_BOOTSTRAP_SERVERS": client.address.kafka, "DATABASE_URL": client.address.database_url}


async def _rebuild(client: SystemClient, *options: str) -> dict[str, Any]:
    done = await commands.grafient("rebuild", *options, "--json", env=_environment(client))
    report: dict[str, Any] = done.json()
    return report


async def test_a_swap_that_is_killed_half_way_changes_nothing(load: Load, fault: Fault) -> None:
    client, (team, integration_id) = load.client, load.teams[0]
    before = await client.rows(TABLES)

    async with fault("a swap of the ledger's tables is killed half-way"):
        async with _last_step_locked(client):
            swap = await commands.start("rebuild", "--swap", "--json", env=_environment(client))
            await until(lambda: client.rows(RENAMED_AND_WAITING))
            signal_with_children(swap.pid, Signals.SIGKILL)
            await swap.wait()
            last = await load.force(team, integration_id)
            assert last
            await client.ended(team, integration_id, last)  # the server has released the dead one's locks
        assert await client.rows(TABLES) == before
    async with fault("the ledger's tables are swapped under load"):
        report = await _rebuild(client, "--swap")

    assert report["refused"] is None
    assert await client.rows(TABLES) != before
    await _rebuild(client, "--drop", report["kept_as"])
