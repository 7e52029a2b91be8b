"""A million events while processes are killed at random, and the same million replayed: none is lost or doubled."""

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from signal import Signals
from typing import Any
from uuid import UUID

import pytest
from contract.topics import COSTS, SYNC_OUTCOMES

from tests.faults.support.fault import Fault
from tests.faults.support.load import Load, system_under_load
from tests.faults.support.volume import ACCOUNT, DAYS, EVENTS_EACH, READINGS, Volume, publish
from tests.support import commands
from tests.support.system import SystemClient

EVENTS = int(os.environ.get("FAULTS_EVENTS", "1000000"))
CHECKSUM = """SELECT count(*), sum(usd), sum(hashtextextended(days::text, 0)::numeric) FROM ledger.days
              WHERE account_id = %s"""
pytestmark = [pytest.mark.thorough, pytest.mark.timeout(3600)]


@dataclass(slots=True)
class Survived:
    """A volume that the ledger has handled while it was killed again and again."""

    client: SystemClient
    volume: Volume
    kills: int = 0


@pytest.fixture(scope="module")
async def load(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Load]:
    async with system_under_load(tmp_path_factory.mktemp("volume"), teams=2) as load:
        yield load


@pytest.fixture(scope="module")
async def survived(load: Load) -> Survived:
    survived = Survived(load.client, Volume(-(-EVENTS // EVENTS_EACH)))
    async with _killing(survived):
        await publish(survived.volume, load.client.address.kafka)
        await _consumed(load.client)
    return survived


@asynccontextmanager
async def _killing(survived: Survived) -> AsyncIterator[None]:
    """The ledger is killed every few seconds, at any moment."""
    chance = random.Random(11)

    async def kill() -> None:
        while True:
            await asyncio.sleep(chance.uniform(2, 8))
            with suppress(ProcessLookupError):  # it is being started again
                survived.client.signal("ledger", Signals.SIGKILL)
                survived.kills += 1

    killing = asyncio.create_task(kill())
    try:
        yield
    finally:
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)


async def _consumed(client: SystemClient) -> None:
    """Wait until the ledger's group is at the end of the topic, as long as it makes progress."""
    last = -1
    while (lag := await _lag(client)) > 0:
        assert lag != last, f"{lag} records wait and none was handled within a minute"
        last = lag


async def _lag(client: SystemClient) -> int:
    """Records that wait, after at most a minute."""
    try:
        await client.consumed("ledger", COSTS)
    except AssertionError as error:
        return int(str(error).rsplit(":", 1)[1])
    return 0


async def test_a_million_events_through_random_kills_are_each_stored_once(survived: Survived) -> None:
    volume, client = survived.volume, survived.client

    sums: dict[UUID, Decimal] = dict(
        await client.rows("SELECT integration_id, sum(usd) FROM ledger.days WHERE account_id = %s GROUP BY 1", ACCOUNT)
    )
    days = await client.rows("SELECT count(*) FROM ledger.days WHERE account_id = %s", ACCOUNT)
    revisions = await client.rows("SELECT count(*) FROM ledger.day_revisions WHERE account_id = %s", ACCOUNT)
    outcomes = await client.rows(
        "SELECT count(*), count(*) FILTER (WHERE reconciled) FROM ledger.outcomes WHERE account_id = %s", ACCOUNT
    )

    assert survived.kills > 0
    assert sums == volume.expected()
    assert days == [(volume.integrations * DAYS,)]
    assert revisions == [(volume.integrations * DAYS * (READINGS - 1),)]
    assert outcomes == [(volume.integrations * READINGS, volume.integrations * READINGS)]
    print(f"\n{volume.events:,} events through {survived.kills} kills")  # noqa: T201 - what a run measured


async def test_every_window_of_them_has_one_outcome(survived: Survived) -> None:
    volume = survived.volume
    windows = {volume.reading(one, number)[1].reading_id for one in range(50) for number in range(READINGS)}

    event_ids: dict[UUID, set[str]] = {reading_id: set() for reading_id in windows}
    for record in await survived.client.records(SYNC_OUTCOMES.name):
        reading_id = UUID(json.loads(record.value).get("reading_id") or str(UUID(int=0)))
        if reading_id in event_ids:
            event_ids[reading_id].add(dict(record.headers)["ce_id"].decode())

    assert {len(found) for found in event_ids.values()} == {1}


async def test_replaying_all_of_it_twice_under_live_load_changes_nothing(survived: Survived, fault: Fault) -> None:
    before = await survived.client.rows(CHECKSUM, ACCOUNT)

    async with fault("everything is replayed twice"):
        reports = [(await _grafient(survived.client, "replay", COSTS.name))[0] for _ in range(2)]

    assert await survived.client.rows(CHECKSUM, ACCOUNT) == before
    assert all(report["read"] >= survived.volume.events for report in reports)
    print(f"\n{json.dumps(reports)}")  # noqa: T201 - what a run measured


async def test_rebuilding_all_of_it_under_live_load_gives_the_same_ledger(survived: Survived, fault: Fault) -> None:
    before = await survived.client.rows(CHECKSUM, ACCOUNT)

    async with fault("a rebuilt ledger is swapped in") as row:
        report = await _grafient(survived.client, "rebuild", "--swap")
        row.note(f"writes waited {report['stopped_seconds']} s")

    assert report["kept_as"], report["refused"]
    assert await survived.client.rows(CHECKSUM, ACCOUNT) == before


async def _grafient(client: SystemClient, *arguments: str) -> Any:
    env = {"KAFKA_BOOTSTRAP_SERVERS": client.address.kafka, "DATABASE_URL": client.address.database_url}
    return (await commands.grafient(*arguments, "--json", env=env)).json()
