"""Six topics grow from 6 to 30 partitions: nothing is lost or doubled, keys keep their order, and a purge still holds."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from common.kafka.placement import partition_of
from contract.cloudevents import decode
from contract.messages import CostRecorded
from contract.topics import COMMANDS_TOPIC, COSTS, CREDENTIALS, INTEGRATIONS, SYNC_OUTCOMES, SYNC_REQUESTS
from grafient.local.errors import StartError

from tests.faults.support.brokers import three_brokers_under_load
from tests.faults.support.fault import Fault
from tests.faults.support.load import Load
from tests.support.growing import NAMES, all_is_handled, grow_topics, service
from tests.support.purging import compacting_at_once
from tests.support.system import SystemClient
from tests.support.waiting import until
from tests.support.xai import Team

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(500)]
TOPICS = (COMMANDS_TOPIC, INTEGRATIONS, CREDENTIALS, SYNC_REQUESTS, COSTS, SYNC_OUTCOMES)
MANY = 30
WORKS = 5.0
"""Seconds of load before they grow, and after it."""


@pytest.fixture
def settings() -> dict[str, str]:
    """Of the services, as they are started next."""
    return {}


@pytest.fixture
async def load(tmp_path: Path, settings: dict[str, str]) -> AsyncIterator[Load]:
    """A system of its own: its topics grow."""
    async with three_brokers_under_load(tmp_path / "system", teams=6, settings=settings) as load:
        yield load


async def test_topics_grow_from_6_to_30_partitions_and_the_services_go_on(
    load: Load, fault: Fault, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, supervisor = load.client, load.client.system.supervisor
    sealed = await _sealed(client, load.teams[0][1])

    async with fault("six topics grow from 6 to 30 partitions, on three brokers", under_load=False):
        async with load.running():
            await asyncio.sleep(WORKS)
        await supervisor.end(["cron"])
        await all_is_handled(client, TOPICS)
        before, boundary = [await _shown(client, team) for team, _ in load.teams], await _ends(client)
        await supervisor.end(NAMES)

        printed = await grow_topics(client, dict(settings), TOPICS, MANY, monkeypatch)

        assert {(one["before"], one["partitions"]) for one in printed.values()} == {(6, MANY)}
        with pytest.raises(StartError, match=re.escape(f"run `grafient topics grow {COSTS.name} --partitions {MANY}`")):
            await supervisor.start([service(client.system, "ledger")])
        settings["TOPIC_PARTITIONS"] = str(printed[TOPICS[-1].name]["setting"])
        await supervisor.start([service(client.system, name) for name in NAMES])
        assert [await _shown(client, team) for team, _ in load.teams] == before
        async with load.running():
            await asyncio.sleep(WORKS)

    await _is_ordered(client, boundary)
    assert await _misplaced(client) == set()
    assert (await client.run("rebuild"))["differences"] == []
    await _is_purged(client, *load.teams[0], sealed)


async def _ends(client: SystemClient) -> dict[tuple[str, int], int]:
    """Records by topic and partition."""
    counts: dict[tuple[str, int], int] = defaultdict(int)
    for topic in TOPICS:
        for record in await client.records(topic.name):
            counts[topic.name, record.partition] = record.offset + 1
    return counts


async def _shown(client: SystemClient, team: Team) -> dict[date, dict[str, Decimal]]:
    today = datetime.now(UTC).date()
    return await client.shown(team, today - timedelta(days=29), today)


async def _is_ordered(client: SystemClient, boundary: dict[tuple[str, int], int]) -> None:
    """What came after is where its key is of 30 partitions, and each day's readings follow one another."""
    observed: dict[tuple[Any, date], list[datetime]] = defaultdict(list)
    for record in await client.records(COSTS.name):
        if record.offset >= boundary[COSTS.name, record.partition]:
            assert record.partition == partition_of(record.key, MANY)
            message = decode(record, COSTS).message
            if isinstance(message, CostRecorded):
                observed[message.integration_id, message.day].append(message.observed_at)
    assert observed
    assert all(times == sorted(set(times)) for times in observed.values()), "in order, and none twice"


async def _misplaced(client: SystemClient) -> set[str]:
    """Series of misplaced records that are not 0."""
    urls = [getattr(client.address, f"{name}_url") for name in NAMES]
    async with httpx.AsyncClient(trust_env=False) as http:
        lines = [line for url in urls for line in (await http.get(f"{url}/metrics")).text.splitlines()]
    return {line for line in lines if line.startswith("records_misplaced_total{") and not line.endswith(" 0.0")}


async def _sealed(client: SystemClient, integration_id: str) -> list[bytes]:
    """Texts of the envelope that are of this key only."""
    query = "SELECT envelope FROM syncer.credentials WHERE integration_id = %s"
    (envelope,) = await client.row_is_there(query, integration_id)
    return [text.encode() for text in envelope.values() if isinstance(text, str) and len(text) > 30]


async def _is_purged(client: SystemClient, team: Team, integration_id: str, sealed: list[bytes]) -> None:
    """Once the integration is removed, its sealed key leaves both the former partition and the new one."""
    await client.remove(team, integration_id)
    await client.no_row_is_left("SELECT 1 FROM syncer.credentials WHERE integration_id = %s", integration_id)
    async with compacting_at_once(client) as mark:

        async def is_gone() -> bool:
            await mark()
            values = [record.value or b"" for record in await client.records(CREDENTIALS.name)]
            return not any(text in value for text in sealed for value in values)

        await until(is_gone)
