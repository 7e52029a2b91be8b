"""A durable Postgres and a broker on this machine, and services of one build or another beside them."""

import asyncio
import gc
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg
from grafient.local.folder import local_token
from grafient.local.kafka import Kafka
from grafient.local.postgres import DATABASE, Postgres
from grafient.local.processes import free_ports
from grafient.local.system import inherited_environment
from grafient.topics.apply import apply_topics
from psycopg import sql

from benchmarks.support.report import RefusedRunError, progress
from benchmarks.support.topic import JVM, Broker


@dataclass(frozen=True, slots=True)
class Build:
    """A version of the services, installed for a Python of its own."""

    name: str
    python: str


CURRENT = Build("this", sys.executable)


@dataclass(frozen=True, slots=True)
class Stack:
    """What runs, and the folder for all of its files."""

    folder: Path
    postgres: Postgres
    kafka: Kafka
    broker: Broker
    token: str
    """Accepted by every ledger, with all scopes."""

    def dsn(self, database: str) -> str:
        """For psycopg, as the owner."""
        return self.postgres.database_url.replace("+psycopg", "").removesuffix(DATABASE) + database

    def url_of(self, role: str, database: str) -> str:
        """For a service."""
        return self.postgres.url_of(role).removesuffix(DATABASE) + database

    def ledger_environment(self, database: str, port: int | None = None) -> dict[str, str]:
        """Of a ledger with the settings that it has by default."""
        return inherited_environment() | {
            "KAFKA_BOOTSTRAP_SERVERS": self.broker.servers,
            "DATABASE_URL": self.url_of("ledger", database),
            "API_TOKENS_FILE": str(self.folder / "tokens.json"),
            "HTTP_STOP_PAUSE_SECONDS": "0",
            "PORT": str(port or free_ports(1)[0]),
        }

    async def execute(self, database: str, statement: LiteralString, *names: str) -> None:
        """Outside of a transaction; `names` fill the braces of `statement`."""
        async with await psycopg.AsyncConnection.connect(self.dsn(database), autocommit=True) as connection:
            await connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    async def create_database(self, name: str, template: str = "template0") -> None:
        await self.execute("postgres", "DROP DATABASE IF EXISTS {}", name)
        await self.execute("postgres", "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy", name, template)

    async def migrate(self, build: Build, database: str) -> None:
        """Bring the tables of every service in `database` to what `build` needs."""
        environment = inherited_environment() | {"DATABASE_URL": self.url_of("postgres", database)}
        process = await asyncio.create_subprocess_exec(
            *(build.python, "-m", "grafient", "migrate"), env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        if await process.wait():
            raise RefusedRunError(f"the tables of build {build.name} could not be made")


@asynccontextmanager
async def running_stack() -> AsyncIterator[Stack]:
    """Everything in a temporary folder, which is removed at the end."""
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
        stack.callback(shutil.rmtree, folder)
        folder.chmod(0o755)  # the server of Postgres runs as a user of its own
        postgres, kafka = Postgres(folder / "postgres"), Kafka(folder / "kafka", jvm=JVM)
        stack.push_async_callback(postgres.stop)
        stack.push_async_callback(kafka.stop)
        await asyncio.gather(postgres.start(), kafka.start())
        await apply_topics(kafka.settings(), replication=1)
        progress("Postgres and Kafka are ready")
        broker = await stack.enter_async_context(Broker.connected(kafka.bootstrap_servers))
        gc.freeze()  # a collection of all that is loaded here would stop the clock's own loop for 150 ms
        yield Stack(folder, postgres, kafka, broker, local_token(folder, keep=False))
