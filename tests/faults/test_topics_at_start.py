"""A service with a missing or different topic refuses to start, reports what to do, and starts once that is done."""

import re
import sys
from collections.abc import AsyncIterator, Callable

import pytest
from common.migrations import SERVICES
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions
from contract.access import ACCESS
from contract.topics import DEAD_LETTERS
from grafient.local.errors import StartError
from grafient.local.supervisor import Service
from grafient.local.system import System
from grafient.topics.apply import apply_topics

from tests.faults.support.fault import Fault
from tests.faults.support.load import Load, system_under_load
from tests.support.system import SystemClient
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
Breaks = Callable[[AdminClient], None]


@pytest.fixture
async def load(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Load]:
    """A system of its own: its topic is deleted."""
    async with system_under_load(tmp_path_factory.mktemp("topics"), teams=6) as load:
        yield load


def is_missing(admin: AdminClient) -> None:
    admin.delete_topics([DEAD_LETTERS.name])[DEAD_LETTERS.name].result(30)


def has_a_partition_too_many(admin: AdminClient) -> None:
    more = NewPartitions(DEAD_LETTERS.name, DEAD_LETTERS.partitions + 1)
    admin.create_partitions([more])[DEAD_LETTERS.name].result(30)


SENTENCES: dict[Breaks, str] = {
    is_missing: f"topic {DEAD_LETTERS.name} is missing: run `grafient topics apply`",
    has_a_partition_too_many: (
        f"topic {DEAD_LETTERS.name} has {DEAD_LETTERS.partitions + 1} partitions instead of {DEAD_LETTERS.partitions}"
    ),
}


@pytest.mark.parametrize("breaks", SENTENCES, ids=lambda one: one.__name__)
async def test_services_start_only_on_the_topics_that_are_declared(
    client: SystemClient, fault: Fault, breaks: Breaks
) -> None:
    system, admin = client.system, AdminClient({"bootstrap.servers": client.address.kafka})
    names = [name for name in SERVICES if name in ACCESS]
    services = [_service(system, name) for name in names]

    async with fault(f"a topic {breaks.__name__.replace('_', ' ')} at the services' start"):
        await system.supervisor.end(names)
        breaks(admin)
        for service in services:
            with pytest.raises(StartError, match=re.escape(SENTENCES[breaks])):
                await system.supervisor.start([service])
        assert _exists(admin) is (breaks is not is_missing)
        await _recreate(system, admin)
        await system.supervisor.start(services)


def _service(system: System, name: str) -> Service:
    return Service(name, (sys.executable, "-m", name), system.environment_of(name), system.url_of(name))


def _exists(admin: AdminClient) -> bool:
    return DEAD_LETTERS.name in admin.list_topics(timeout=30).topics


async def _recreate(system: System, admin: AdminClient) -> None:
    """As an operator does: delete what is not as declared, and apply what is missing."""

    async def deleted() -> bool:
        try:
            is_missing(admin)
        except KafkaException:
            return not _exists(admin)
        return False

    await until(deleted)
    await apply_topics(system.kafka.settings(), replication=1)
