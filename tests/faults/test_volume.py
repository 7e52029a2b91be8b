"""A million events while processes are killed at random, and the same million handled again: not one is lost or doubled."""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from contract.topics import COSTS, SYNC_OUTCOMES

from tests.faults.support.load import Load, load_on
from tests.faults.support.volume import ACCOUNT, DAYS, EVENTS_EACH, READINGS, Volume, publish
from tests.support.system import SystemClient

EVENTS = int(os.environ.get("FAULTS_EVENTS", "1000000"))
CHECKSUM = """SELECT count(*), sum(usd), sum(hashtextextended(days::text, 0)::numeric) FROM ledger.days
              WHERE account_id = %s"""
pytestmark = [pytest.mark.thorough, pytest.mark.timeout(3600)]


@dataclass(slots=True)
class Survived:
    """A volume that the ledger took while it was killed again and again."""

    world: SystemClient
    load: Load
    volume: Volume
    kills: int = 0


@pytest.fixture(scope="module")
async def survived(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Survived]:
    async with load_on(tmp_path_factory.mktemp("volume"), teams=2) as load:
        survived = Survived(load.world, load, Volume(-(-EVENTS // EVENTS_EACH)))
        async with _killing(survived):
            await publish(survived.volume, load.world.address.kafka)
            await _taken(load.world)
        yield survived


@asynccontextmanager
async def _killing(survived: Survived) -> AsyncIterator[None]:
    """The ledger is killed every few seconds, at any moment."""
    chance = random.Random(11)

    async def kill() -> None:
        while True:
            await asyncio.sleep(chance.uniform(2, 8))
            with suppress(ProcessLookupError):  # it is not back yet
                os.kill(survived.world.system.address().pids["ledger"], signal.SIGKILL)
                survived.kills += 1

    killing = asyncio.create_task(kill())
    try:
        yield
    finally:
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)


async def _taken(world: SystemClient) -> None:
    """The ledger's group has come to the end of the topic, however long it takes."""
    last = -1
    while (left := await _left(world)) > 0:
        assert left != last, f"{left} records wait and none was taken within a minute"
        last = left


async def _left(world: SystemClient) -> int:
    """What waits, after at most a minute of waiting for none."""
    try:
        await world.consumed(f"ledger.{COSTS.name}", COSTS.name)
    except AssertionError as error:
        return int(str(error).rsplit(":", 1)[1])
    return 0


async def test_a_million_events_through_random_kills_are_each_there_once(survived: Survived) -> None:
    volume, world = survived.volume, survived.world

    sums: dict[UUID, Decimal] = dict(
        await world.rows("SELECT integration_id, sum(usd) FROM ledger.days WHERE account_id = %s GROUP BY 1", ACCOUNT)
    )
    days = await world.rows("SELECT count(*) FROM ledger.days WHERE account_id = %s", ACCOUNT)
    revisions = await world.rows("SELECT count(*) FROM ledger.day_revisions WHERE account_id = %s", ACCOUNT)
    outcomes = await world.rows(
        "SELECT count(*), count(*) FILTER (WHERE reconciled) FROM ledger.outcomes WHERE account_id = %s", ACCOUNT
    )

    assert survived.kills > 0
    assert sums == volume.expected()
    assert days == [(volume.integrations * DAYS,)]
    assert revisions == [(volume.integrations * DAYS * (READINGS - 1),)]
    assert outcomes == [(volume.integrations * READINGS, volume.integrations * READINGS)]
    print(f"\n{volume.events:,} events through {survived.kills} kills")  # noqa: T201 - what a run measured


async def test_every_window_of_them_was_answered_with_one_event(survived: Survived) -> None:
    volume = survived.volume
    windows = {volume.reading(one, number)[1].reading_id for one in range(50) for number in range(READINGS)}

    told: dict[UUID, set[str]] = {reading_id: set() for reading_id in windows}
    for record in await survived.world.records(SYNC_OUTCOMES.name):
        reading_id = UUID(json.loads(record.value).get("reading_id") or str(UUID(int=0)))
        if reading_id in told:
            told[reading_id].add(dict(record.headers)["ce_id"].decode())

    assert {len(event_ids) for event_ids in told.values()} == {1}


async def test_replaying_all_of_it_twice_under_live_load_changes_nothing(survived: Survived) -> None:
    world = survived.world
    before = await world.rows(CHECKSUM, ACCOUNT)

    async with survived.load.running():
        reports = [(await _run(world, "replay", COSTS.name))[0] for _ in range(2)]

    assert await world.rows(CHECKSUM, ACCOUNT) == before
    assert all(report["read"] >= survived.volume.events for report in reports)
    await survived.load.heals("a replay of everything, twice")
    print(f"\n{json.dumps(reports)}")  # noqa: T201 - what a run measured


async def test_rebuilding_all_of_it_under_live_load_gives_the_same_ledger(survived: Survived) -> None:
    world = survived.world
    before = await world.rows(CHECKSUM, ACCOUNT)

    async with survived.load.running():
        report = await _run(world, "rebuild", "--swap")

    assert report["kept_as"], report["refused"]
    assert await world.rows(CHECKSUM, ACCOUNT) == before
    await survived.load.heals("a rebuilt ledger is swapped in")
    print(f"\nrebuilt in {report['seconds']} s, writes waited {report['stopped_seconds']} s")  # noqa: T201 - measured


async def _run(world: SystemClient, *arguments: str) -> Any:
    """As an operator does it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "grafient", *arguments, "--json"),
        env=os.environ | {"KAFKA_BOOTSTRAP_SERVERS": world.address.kafka, "DATABASE_URL": world.address.database_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()[-2000:]
    return json.loads(output)
