"""Operators rebuild the ledger from its topics while it works, and after its loss."""

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from contract.topics import COSTS, INTEGRATIONS

from tests.support.commands import in_process, start
from tests.support.system import SystemClient, Team
from tests.support.waiting import until

STORED = """SELECT day, usd, costs, reading_id, observed_at, said_since FROM ledger.days
          WHERE integration_id = %s::uuid ORDER BY day"""
READ = """SELECT reading_id, reconciled, first_day, last_day, observed_at FROM ledger.outcomes
          WHERE integration_id = %s::uuid ORDER BY observed_at, reading_id"""

REVISED = """SELECT day, usd, reading_id, said_since, said_until, replaced_by FROM ledger.day_revisions
             WHERE integration_id = %s::uuid ORDER BY day, said_since"""


async def _swapped(world: SystemClient) -> dict[str, Any]:
    report: dict[str, Any] = (await in_process("rebuild", "--swap", "--json", env=world.environment)).json()
    dropped = await in_process("rebuild", "--drop", report["kept_as"], "--json", env=world.environment)
    assert dropped.json() == {"dropped": report["kept_as"]}
    return report


async def _connected(world: SystemClient) -> tuple[Team, str]:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.consumed(f"ledger.{COSTS.name}", COSTS.name)
    return team, integration_id


def _days() -> tuple[date, date]:
    today = datetime.now(UTC).date()
    return today - timedelta(days=6), today


async def test_a_swap_under_live_traffic_loses_nothing_and_publishes_nothing(world: SystemClient) -> None:
    team, integration_id = await _connected(world)
    first, last = _days()
    swapped = asyncio.Event()

    async def restate_and_read() -> int:
        for number in range(1, 1_000):
            await world.restate(team, last, {"SKU A": f"{number}.01"})
            assert (await world.force(team, integration_id))["reconciled"]
            if swapped.is_set():
                return number
        raise AssertionError("the swap never came")

    reading = asyncio.create_task(restate_and_read())
    report = await _swapped(world)
    swapped.set()
    times = await asyncio.wait_for(reading, 60)

    assert times > 1
    assert report["read"][COSTS.name] >= 30
    assert await world.shown(team, first, last) == await world.served(team, first, last)
    revisions = "SELECT 1 FROM ledger.day_revisions WHERE integration_id = %s::uuid AND day = %s"
    assert len(await world.rows(revisions, integration_id, last)) == times
    outcomes = [one for one in await world.records("xai.sync-outcomes.v1") if one.key == integration_id.encode()]
    event_ids = [dict(record.headers)["ce_id"] for record in outcomes]
    assert len(event_ids) == len(set(event_ids))


async def test_after_the_loss_of_the_whole_ledger_it_is_rebuilt_as_it_was(world: SystemClient) -> None:
    team, integration_id = await _connected(world)
    gone_team, gone = await _connected(world)
    await world.restate(team, _days()[1], {"SKU A": "7.000000001"})
    await world.force(team, integration_id)
    await world.request("DELETE", f"/accounts/{gone_team.account_id}/integrations/{gone}?history=erase")
    for topic in (INTEGRATIONS.name, COSTS.name):
        await world.consumed(f"ledger.{topic}", topic)
    before = [await world.rows(query, integration_id) for query in (STORED, READ)]
    calls = len(await world.calls(team))

    async with await psycopg.AsyncConnection.connect(world.dsn) as owner:
        await owner.execute("DROP SCHEMA ledger CASCADE")
    assert (await in_process("migrate", env=world.environment)).status == 0
    report = await _swapped(world)

    after = [await world.rows(query, integration_id) for query in (STORED, READ)]
    for was, now in zip(before, after, strict=True):
        assert set(map(str, was)) ^ set(map(str, now)) == set()
    assert report["taken_over"]["days"] == 0
    assert await world.rows(STORED, gone) == []
    assert len(await world.calls(team)) == calls
    assert (await world.force(team, integration_id))["reconciled"]


async def test_after_an_old_backup_a_replay_brings_what_came_since(world: SystemClient) -> None:
    (team, integration_id), (gone_team, gone) = await _connected(world), await _connected(world)
    await world.restate(team, _days()[1], {"SKU A": "7.000000001"})
    await world.force(team, integration_id)
    await _backed_up(world)
    await world.restate(team, _days()[1], {"SKU A": "8.000000002", "SKU B": "0.3"})
    await world.force(team, integration_id)
    _, new = await _connected(world)
    await world.request("DELETE", f"/accounts/{gone_team.account_id}/integrations/{gone}?history=erase")
    for topic in (INTEGRATIONS.name, COSTS.name):
        await world.consumed(f"ledger.{topic}", topic)
    before = [await world.rows(query, one) for query in (STORED, READ, REVISED) for one in (integration_id, new)]

    await _restored(world)
    assert await world.rows(STORED, new) == []
    assert len(await world.rows(STORED, gone)) > 0
    for topic in (INTEGRATIONS.name, COSTS.name):
        assert (await in_process("replay", topic, env=world.environment)).status == 0

    assert [
        await world.rows(query, one) for query in (STORED, READ, REVISED) for one in (integration_id, new)
    ] == before
    assert await world.rows(STORED, gone) == []


async def _backed_up(world: SystemClient) -> None:
    """Copy every table of the ledger."""
    await _as_owner(world, "CREATE SCHEMA backup", "CREATE TABLE backup.{0} AS TABLE ledger.{0}")


async def _restored(world: SystemClient) -> None:
    """Restore the copy, and remove it."""
    again = "DELETE FROM ledger.{0}; INSERT INTO ledger.{0} OVERRIDING SYSTEM VALUE SELECT * FROM backup.{0}"
    await _as_owner(world, "SET LOCAL session_replication_role = replica", again, "DROP SCHEMA backup CASCADE")


async def _as_owner(world: SystemClient, *statements: str) -> None:
    """In one transaction; a statement with a place for a table is for each of the ledger's tables."""
    tables = await world.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'ledger'")
    async with await psycopg.AsyncConnection.connect(world.dsn) as owner:
        for statement in statements:
            for (table,) in tables if "{0}" in statement else [("",)]:
                await owner.execute(statement.format(table).encode())


@asynccontextmanager
async def _rebuilding(world: SystemClient) -> AsyncIterator[Process]:
    """A rebuild in a process of its own, which has begun to write its tables."""
    process = await start("rebuild", env=world.environment)
    await until(lambda: world.rows("SELECT 1 FROM pg_namespace WHERE nspname = 'ledger_rebuilt'"))
    yield process
    await process.communicate()


async def test_a_rebuild_that_was_killed_is_started_again_and_shows_what_differs(world: SystemClient) -> None:
    _, integration_id = await _connected(world)
    ((day,),) = await world.rows(
        "UPDATE ledger.days SET usd = usd + 1 WHERE integration_id = %s::uuid AND day = current_date - 3 RETURNING day",
        integration_id,
    )
    async with _rebuilding(world) as process:
        process.kill()

    result = await in_process("rebuild", "--json", env=world.environment)

    mine = [one for one in result.json(status=1)["samples"] if one["integration_id"] == integration_id]
    found = [(one["kind"], one["place"]) for one in mine if one["of_table"] == "days"]
    assert found == [("different", str(day))]
    await _swapped(world)
    uneven = (
        "SELECT 1 FROM ledger.days WHERE usd <> (SELECT sum((c ->> 'usd')::numeric) FROM jsonb_array_elements(costs) c)"
    )
    assert await world.rows(uneven) == []


async def test_a_rebuild_ends_on_ctrl_c_without_a_traceback(world: SystemClient) -> None:
    async with _rebuilding(world) as process:
        process.send_signal(signal.SIGINT)
        output, errors = await process.communicate()

    assert process.returncode
    assert b"Traceback" not in output + errors


async def test_only_what_a_rebuild_left_is_dropped(world: SystemClient) -> None:
    refused = await in_process("rebuild", "--drop", "ledger", env=world.environment)

    assert refused.status == 1
    assert "only ledger_rebuilt and ledger_before_" in refused.stderr
