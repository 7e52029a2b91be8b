"""One broker and one database a run, shared by the tests that need them and started by the first of these."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from common.database import Database, make_engine
from common.migrations import migrate
from common.settings import KafkaSettings
from grafient.local.jars import KAFKA_VERSION
from grafient.local.kafka import Kafka
from grafient.local.postgres import Postgres
from grafient.local.processes import free_ports
from grafient.topics.apply import apply_topics
from hypothesis import settings
from pydantic import SecretStr
from sqlalchemy import create_engine, make_url, text
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

FAKE_PASSWORD = "obviously-fake"  # noqa: S105 - of a database that is thrown away


SYSTEM_FIXTURES = {"docker", "server_url"}
"""They start a broker, a database, the simulator."""
SYSTEM_FOLDERS = {"browser", "e2e", "faults", "local"}
"""Tests in them start processes themselves."""
SHARED_SYSTEMS = {"system", "load"}
"""Fixtures that are a whole system for several modules, one in each of some folders."""

settings.register_profile("default", deadline=None, derandomize=True)  # how fast a machine is, is no property
settings.load_profile("default")
settings.register_profile("fast", max_examples=10)  # of `make check`; every test is run with the default number
settings.register_profile("random", derandomize=False, print_blob=True)  # other examples in every run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `system` what needs a broker, a database or another process; `make check` runs the rest."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & SYSTEM_FIXTURES or SYSTEM_FOLDERS & set(item.path.parts):
            item.add_marker(pytest.mark.system)
        if "e2e" not in item.path.parts or not _shares_a_system(item):
            item.add_marker(pytest.mark.apart)
    items.sort(key=_shares_a_system)


def _shares_a_system(item: pytest.Item) -> bool:
    """Such a test is one of the last: a system that waits beside all others takes a tenth of a core."""
    module = item.getparent(pytest.Module)
    own = vars(module.obj) if module else {}  # a module may have a system of its own, by the same name
    return any(name in getattr(item, "fixturenames", ()) and name not in own for name in SHARED_SYSTEMS)


def _docker_answers() -> bool:
    """Whether an engine listens where its clients look. Only the socket is tried: the client leaks one on failure."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(host.removeprefix("unix://")) == 0


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
            from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415 - needs an engine

            container = PostgresContainer("postgres:18", driver="psycopg")
            stack.callback(container.stop)
            yield (await asyncio.to_thread(container.start)).get_connection_url()
        else:
            server = Postgres(tmp_path_factory.mktemp("database") / "postgres", durable=False)
            stack.push_async_callback(server.stop)
            await server.start()
            yield server.database_url


@dataclass(frozen=True, slots=True)
class Owned:
    """A service's tables: as the service may use them, and as their owner may."""

    service: Database
    owner: Database


@pytest.fixture(scope="session")
async def tables_of(postgres: str) -> AsyncIterator[Callable[[str], Owned]]:
    """Make a service's tables, and open both ways to them."""
    async with AsyncExitStack() as stack:

        def make(service: str) -> Owned:
            migrate(SecretStr(postgres), service)
            _let_in(postgres, service)
            url = make_url(postgres).set(username=service, password=FAKE_PASSWORD)
            ways = [
                Database(make_engine(SecretStr(one), schema=service, pool_size=20))
                for one in (url.render_as_string(hide_password=False), postgres)
            ]
            for way in ways:
                stack.push_async_callback(way.close)
            return Owned(*ways)

        yield make


def _let_in(url: str, role: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER ROLE {role} PASSWORD '{FAKE_PASSWORD}'"))
    engine.dispose()


@pytest.fixture(scope="session")
async def kafka(docker: bool, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:  # noqa: FBT001 - a fixture
    """`host:port` of a broker that has the topics."""
    async with AsyncExitStack() as stack:
        if docker:
            servers, container = _kafka_container()
            stack.callback(container.stop)
            await asyncio.to_thread(container.start)
        else:
            broker = Kafka(_folder(tmp_path_factory))
            stack.push_async_callback(broker.stop)
            await broker.start()
            servers = broker.bootstrap_servers
        await apply_topics(KafkaSettings(kafka_bootstrap_servers=servers), replication=1)
        yield servers


def _kafka_container() -> tuple[str, DockerContainer]:
    """`host:port` and the broker's container, not started; the library's own is for another vendor's image."""
    port, controller_port = free_ports(2)
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": f"PLAINTEXT://:{port},CONTROLLER://localhost:{controller_port}",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": f"1@localhost:{controller_port}",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    }
    container = DockerContainer(f"apache/kafka:{KAFKA_VERSION}").with_bind_ports(port, port).with_envs(**settings)
    return f"127.0.0.1:{port}", container.waiting_for(LogMessageWaitStrategy("Kafka Server started"))


def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("broker") / "kafka"
