"""A consumer group loses its offsets: everything is delivered again, and changes nothing."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from contract.access import group_of
from contract.topics import COSTS, SYNC_REQUESTS, Topic
from grafient.local.supervisor import Service

from tests.faults.support.fault import Fault
from tests.faults.support.load import Load, system_under_load
from tests.support.system import SystemClient
from tests.support.waiting import until

LASTS = 3.0
pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]


@pytest.fixture
async def load(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Load]:
    """A system of its own: it takes as long as there are records on the topics, which all other faults fill."""
    async with system_under_load(tmp_path_factory.mktemp("offsets"), teams=6) as load:
        yield load


@pytest.mark.parametrize(("name", "topic"), [("ledger", COSTS), ("syncer", SYNC_REQUESTS)], ids=["ledger", "syncer"])
async def test_nothing_is_lost_and_nothing_is_doubled_when_offsets_are_deleted_of(
    client: SystemClient, fault: Fault, name: str, topic: Topic
) -> None:
    system = client.system
    service = Service(name, (sys.executable, "-m", name), system.environment_of(name), system.url_of(name))

    async with fault(f"the {name}'s offsets are deleted") as row:
        await asyncio.sleep(LASTS)  # of work that will be delivered again
        await system.supervisor.end([name])
        await until(lambda: _deleted(client, group_of(name, topic)))  # once the member's session has ended
        await asyncio.sleep(LASTS)  # the fault is an interval
        await system.supervisor.start([service])

    assert row.healed.redelivered > 0


async def _deleted(client: SystemClient, group: str) -> bool:
    admin = AdminClient({"bootstrap.servers": client.system.kafka.bootstrap_servers})
    with suppress(KafkaException):
        await asyncio.to_thread(admin.delete_consumer_groups([group])[group].result)
        return True
    return False
