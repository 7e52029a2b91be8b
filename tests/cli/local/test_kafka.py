import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from grafient.local.errors import StartError
from grafient.local.kafka import Kafka

from tests.support.processes import runs

TOPIC = "of-the-test"


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    """One with a topic."""
    broker = Kafka(tmp_path_factory.mktemp("own") / "kafka")
    try:
        await broker.start()
        async with _admin(broker) as admin:
            await admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])
        yield broker
    finally:
        await broker.stop()


@asynccontextmanager
async def _admin(broker: Kafka) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def _publish(broker: Kafka, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")
    async with producer:
        await producer.send_and_wait(TOPIC, value)


async def _consume(broker: Kafka) -> bytes:
    """The first record of the topic."""
    servers = broker.bootstrap_servers
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=servers, group_id="g", auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(30):
        return bytes((await consumer.getone()).value)


async def _cluster(broker: Kafka) -> str:
    async with _admin(broker) as admin:
        return str((await admin.describe_cluster())["cluster_id"])


def _pid(broker: Kafka) -> int:
    assert broker.process is not None
    return broker.process.pid


async def test_records_survive_a_kill_on_the_same_port(broker: Kafka) -> None:
    servers, pid, cluster = broker.bootstrap_servers, _pid(broker), await _cluster(broker)
    await _publish(broker, b"kept")

    os.kill(pid, signal.SIGKILL)
    await broker.start()

    assert (broker.bootstrap_servers, await _cluster(broker)) == (servers, cluster)
    assert not runs(pid)
    assert await _consume(broker) == b"kept"


async def test_one_beside_it_has_its_own_port_and_data(broker: Kafka, tmp_path: Path) -> None:
    beside = Kafka(tmp_path / "kafka")
    try:
        await beside.start()
        async with _admin(broker) as admin, _admin(beside) as other:
            assert TOPIC in await admin.list_topics()
            assert TOPIC not in await other.list_topics()
    finally:
        await beside.stop()
    assert not runs(_pid(beside))
    assert runs(_pid(broker))


async def test_a_broker_with_a_port_in_use_reports_why_it_does_not_start(broker: Kafka, tmp_path: Path) -> None:
    second = Kafka(tmp_path / "kafka", port=broker.port)

    with pytest.raises(StartError, match=r"Kafka did not start:\n(.*\n)*.*Address already in use"):
        await second.start()
    assert not runs(_pid(second))
