"""One broker and one database a run, shared by every test that asks for them; nothing starts before the first one does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from common.settings import KafkaSettings
from grafient.local.kafka import Kafka
from grafient.local.postgres import Postgres
from grafient.topics import bring_about
from testcontainers.core.config import testcontainers_config


def _docker_answers() -> bool:
    try:
        import docker  # noqa: PLC0415 - only asked where a test needs a broker or a database

        client = docker.from_env(timeout=2)
        client.ping()
        client.close()
    except Exception:  # noqa: BLE001 - whatever it is, there is no engine to use
        return False
    return True


@pytest.fixture(scope="session")
def docker() -> bool:
    """Whether containers can be had; the embedded stack serves otherwise."""
    testcontainers_config.ryuk_disabled = True  # what a fixture starts it also ends
    return _docker_answers()


@pytest.fixture(scope="session")
async def postgres(docker: bool, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:  # noqa: FBT001 - a fixture
    """URL of an empty Postgres 18, for a role that may do everything: `postgresql+psycopg://…`."""
    async with AsyncExitStack() as stack:
        if docker:
            from testcontainers.postgres import PostgresContainer  # noqa: PLC0415 - needs an engine

            container = PostgresContainer("postgres:18", driver="psycopg")
            stack.callback(container.stop)
            yield (await asyncio.to_thread(container.start)).get_connection_url()
        else:
            server = Postgres(tmp_path_factory.mktemp("database") / "postgres", durable=False)
            stack.push_async_callback(server.stop)
            await server.start()
            yield server.database_url


@pytest.fixture(scope="session")
async def kafka(docker: bool, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:  # noqa: FBT001 - a fixture
    """`host:port` of a broker that has the topics."""
    async with AsyncExitStack() as stack:
        if docker:
            from testcontainers.kafka import KafkaContainer  # noqa: PLC0415 - needs an engine

            container = KafkaContainer("apache/kafka:4.3.0")
            stack.callback(container.stop)
            servers = (await asyncio.to_thread(container.start)).get_bootstrap_server()
        else:
            broker = Kafka(_folder(tmp_path_factory))
            stack.push_async_callback(broker.stop)
            await broker.start()
            servers = broker.bootstrap_servers
        await bring_about(KafkaSettings(kafka_bootstrap_servers=servers), replication=1)
        yield servers


def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("broker") / "kafka"
