"""A service whose topic is missing, or is not as declared, refuses to start, says what to do, and works once that is done."""

import sys
from collections.abc import Callable

import pytest
from common.migrations import SERVICES
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions
from contract.topics import DEAD_LETTERS
from grafient.local.postgres import StartError
from grafient.local.supervisor import Service
from grafient.local.system import System
from grafient.topics.commands import bring_about

from tests.faults.support.load import Load, Result
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
Breaks = Callable[[AdminClient], None]


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
    apart: Load, results: list[Result], breaks: Breaks
) -> None:
    system, admin = apart.world.system, AdminClient({"bootstrap.servers": apart.world.address.kafka})
    services = [_service(system, name) for name in SERVICES]
    async with apart.running():
        await system.supervisor.end(list(SERVICES))
        breaks(admin)

        for service in services:
            with pytest.raises(StartError, match=_as_pattern(SENTENCES[breaks])):
                await system.supervisor.start([service])
        assert (DEAD_LETTERS.name in admin.list_topics(timeout=30).topics) is (breaks is not is_missing)

        await _made_anew(apart, admin)
        await system.supervisor.start(services)

    results.append(await apart.heals(f"a topic {breaks.__name__.replace('_', ' ')} at the services' start"))


def _service(system: System, name: str) -> Service:
    return Service(name, (sys.executable, "-m", name), system.environment_of(name), system.url_of(name))


def _as_pattern(sentence: str) -> str:
    return sentence.replace(".", r"\.").replace("`", ".")


async def _made_anew(apart: Load, admin: AdminClient) -> None:
    """As an operator does it: what is not as declared goes, what is missing is applied."""

    async def gone() -> bool:
        try:
            is_missing(admin)
        except KafkaException:
            return DEAD_LETTERS.name not in admin.list_topics(timeout=30).topics
        return False

    await until(gone)
    await bring_about(apart.world.system.kafka.settings(), replication=1)
