"""Operators rebuild the ledger from its topics while it works, and after its loss."""

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from contract.topics import COSTS, INTEGRATIONS, SYNC_OUTCOMES

from tests.support.commands import in_process, start
from tests.support.system import SystemClient

STORED = """SELECT day, usd, labels_id, amounts, reading_id, observed_at, said_since FROM ledger.days
          WHERE integration_id = %s::uuid ORDER BY day"""
READ = """SELECT reading_id, reconciled, first_day, last_day, observed_at FROM ledger.outcomes
          WHERE integration_id = %s::uuid ORDER BY observed_at, reading_id"""

REVISED = """SELECT day, usd, reading_id, said_since, said_until, replaced_by FROM ledger.day_revisions
             WHERE integration_id = %s::uuid ORDER BY day, said_since"""


async def _swapped(client: SystemClient) -> dict[str, Any]:
    report: dict[str, Any] = await client.run("rebuild", "--swap")
    assert await client.run("rebuild", "--drop", report["kept_as"]) == {"dropped": report["kept_as"]}
    return report


def _days() -> tuple[date, date]:
    today = datetime.now(UTC).date()
    return today - timedelta(days=6), today


async def test_a_swap_under_live_traffic_loses_nothing_and_publishes_nothing(client: SystemClient) -> None:
    team, integration_id = await client.team_in_ledger()
    first, last = _days()
    swapped = asyncio.Event()

    async def restate_and_read() -> int:
        for number in range(1, 1_000):
            await client.restate(team, last, {"SKU A": f"{number}.01"})
            assert (await client.force(team, integration_id))["reconciled"]
            if swapped.is_set():
                return number
        raise AssertionError("the swap never came")

    reading = asyncio.create_task(restate_and_read())
    report = await _swapped(client)
    swapped.set()
    times = await asyncio.wait_for(reading, 60)

    assert times > 1
    assert report["read"][COSTS.name] >= 30
    assert await client.shown(team, first, last) == await client.served(team, first, last)
    revisions = "SELECT 1 FROM ledger.day_revisions WHERE integration_id = %s::uuid AND day = %s"
    assert len(await client.rows(revisions, integration_id, last)) == times
    outcomes = await client.records_of(SYNC_OUTCOMES, integration_id)
    event_ids = [dict(record.headers)["ce_id"] for record in outcomes]
    assert len(event_ids) == len(set(event_ids))


async def test_after_the_loss_of_the_whole_ledger_it_is_rebuilt_as_it_was(client: SystemClient) -> None:
    team, integration_id = await client.team_in_ledger()
    gone_team, gone = await client.team_in_ledger()
    await client.restate(team, _days()[1], {"SKU A": "7.000000001"})
    await client.force(team, integration_id)
    await client.remove(gone_team, gone, "erase")
    await client.consumed("ledger", INTEGRATIONS, COSTS)
    before = [await client.rows(query, integration_id) for query in (STORED, READ)]
    calls = len(await client.calls(team))

    async with client.owner() as owner:
        await owner.execute("DROP SCHEMA ledger CASCADE")
    assert (await in_process("migrate", env=client.environment)).status == 0
    report = await _swapped(client)

    after = [await client.rows(query, integration_id) for query in (STORED, READ)]
    for was, now in zip(before, after, strict=True):
        assert set(map(str, was)) ^ set(map(str, now)) == set()
    assert report["taken_over"]["days"] == 0
    assert await client.rows(STORED, gone) == []
    assert len(await client.calls(team)) == calls
    assert (await client.force(team, integration_id))["reconciled"]


async def test_after_an_old_backup_a_replay_brings_what_came_since(client: SystemClient) -> None:
    (team, integration_id), (gone_team, gone) = await client.team_in_ledger(), await client.team_in_ledger()
    await client.restate(team, _days()[1], {"SKU A": "7.000000001"})
    await client.force(team, integration_id)
    await _backed_up(client)
    await client.restate(team, _days()[1], {"SKU A": "8.000000002", "SKU B": "0.3"})
    await client.force(team, integration_id)
    _, new = await client.team_in_ledger()
    await client.remove(gone_team, gone, "erase")
    await client.consumed("ledger", INTEGRATIONS, COSTS)
    before = [await client.rows(query, one) for query in (STORED, READ, REVISED) for one in (integration_id, new)]

    await _restored(client)
    assert await client.rows(STORED, new) == []
    assert len(await client.rows(STORED, gone)) > 0
    for topic in (INTEGRATIONS.name, COSTS.name):
        assert (await in_process("replay", topic, env=client.environment)).status == 0

    assert [
        await client.rows(query, one) for query in (STORED, READ, REVISED) for one in (integration_id, new)
    ] == before
    assert await client.rows(STORED, gone) == []


async def _backed_up(client: SystemClient) -> None:
    """Copy every table of the ledger."""
    await _as_owner(client, "CREATE SCHEMA backup", "CREATE TABLE backup.{0} AS TABLE ledger.{0}")


async def _restored(client: SystemClient) -> None:
    """Restore the copy, and remove it."""
    again = "DELETE FROM ledger.{0}; INSERT INTO ledger.{0} OVERRIDING SYSTEM VALUE SELECT * FROM backup.{0}"
    await _as_owner(client, "SET LOCAL session_replication_role = replica", again, "DROP SCHEMA backup CASCADE")


async def _as_owner(client: SystemClient, *statements: str) -> None:
    """In one transaction; a statement with a place for a table is for each of the ledger's tables."""
    tables = await client.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'ledger'")
    async with client.owner() as owner:
        for statement in statements:
            for (table,) in tables if "{0}" in statement else [("",)]:
                await owner.execute(statement.format(table).encode())


@asynccontextmanager
async def _rebuilding(client: SystemClient) -> AsyncIterator[Process]:
    """A rebuild in a process of its own, which has begun to write its tables and cannot end: it waits to compare them."""
    async with client.owner() as connection:
        await connection.execute(b"LOCK TABLE ledger.day_revisions IN ACCESS EXCLUSIVE MODE")
        process = await start("rebuild", env=client.environment)
        await client.row_is_there("SELECT 1 FROM pg_namespace WHERE nspname = 'ledger_rebuilt'")
        yield process
        await process.communicate()
        await connection.rollback()


async def test_a_rebuild_that_was_killed_is_started_again_and_shows_what_differs(client: SystemClient) -> None:
    _, integration_id = await client.team_in_ledger()
    ((day,),) = await client.rows(
        "UPDATE ledger.days SET usd = usd + 1 WHERE integration_id = %s::uuid AND day = current_date - 3 RETURNING day",
        integration_id,
    )
    async with _rebuilding(client) as process:
        process.kill()

    report = await client.run("rebuild", status=1)

    mine = [one for one in report["samples"] if one["integration_id"] == integration_id]
    found = [(one["kind"], one["place"]) for one in mine if one["of_table"] == "days"]
    assert found == [("different", str(day))]
    await _swapped(client)
    uneven = "SELECT 1 FROM ledger.days WHERE usd <> (SELECT sum(amount) FROM unnest(amounts) amount)"
    assert await client.rows(uneven) == []


async def test_a_rebuild_ends_on_ctrl_c_without_a_traceback(client: SystemClient) -> None:
    async with _rebuilding(client) as process:
        process.send_signal(signal.SIGINT)
        output, errors = await process.communicate()

    assert process.returncode
    assert b"Traceback" not in output + errors


async def test_only_what_a_rebuild_left_is_dropped(client: SystemClient) -> None:
    refused = await in_process("rebuild", "--drop", "ledger", env=client.environment)

    assert refused.status == 2
    assert "only ledger_rebuilt and ledger_before_" in refused.stderr
