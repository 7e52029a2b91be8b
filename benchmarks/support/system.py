"""The whole system with a durable database and an xAI that answers from a cache, for as long as a benchmark runs."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from contract.topics import COSTS, SYNC_OUTCOMES, SYNC_REQUESTS, Topic
from grafient.local.kafka import Kafka
from grafient.local.processes import free_ports, spawn, stop
from grafient.local.supervisor import Service
from grafient.local.system import Address, System

from benchmarks.support import cpu
from benchmarks.support.report import progress
from benchmarks.support.topic import JVM, Broker

CONSUMERS: tuple[tuple[str, Topic], ...] = (
    ("syncer", SYNC_REQUESTS),
    ("ledger", COSTS),
    ("connector", SYNC_OUTCOMES),
    ("syncer", SYNC_OUTCOMES),
)
"""Who has work in the life of a window."""
FAST_CALLS = {"SYNCER_CALLS_PER_SECOND": "1000"}
"""Otherwise the rate of calls is what is measured."""


@dataclass(frozen=True, slots=True)
class Running:
    """The system, and what a benchmark does to it and sees of it."""

    system: System
    folder: Path
    address: Address
    broker: Broker
    http: httpx.AsyncClient
    xai_pid: int

    @property
    def dsn(self) -> str:
        """Of the database's owner, for psycopg."""
        return self.address.database_url.replace("+psycopg", "")

    def pids(self) -> dict[str, int]:
        """Every process, the stand-in for xAI included as `xai`."""
        pids = {name: pid for name, pid in self.system.address().pids.items() if name != "cron"}
        return pids | {"xai": self.xai_pid}

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU time that each process has used."""
        return cpu.cpu_seconds(self.pids())

    async def answer_in(self, delay_ms: int) -> None:
        """How long each answer of xAI takes from now on."""
        await self.http.put(f"{self.address.xai_url}/control/delay", content=str(delay_ms))

    async def restart(self, service: str, settings: Mapping[str, str]) -> None:
        """The same service with other settings."""
        await self.system.supervisor.end([service])
        environment = self.system.environment_of(service) | dict(settings)
        argv, url = (sys.executable, "-m", service), self.system.url_of(service)
        await self.system.supervisor.start([Service(service, argv, environment, url)])

    async def settled(self) -> None:
        """Wait until every consumer has committed all that is there."""
        while any([await self.broker.left(service, topic) for service, topic in CONSUMERS]):
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running_system(settings: Mapping[str, str] | None = None, *, delay_ms: int = 0) -> AsyncIterator[Running]:
    """Everything in a temporary folder, which is removed at the end; `settings` are environment variables of services."""
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
        stack.callback(shutil.rmtree, folder)
        folder.chmod(0o755)  # the server of Postgres runs as a user of its own
        port = free_ports(1)[0]
        xai = await spawn((sys.executable, "-m", "benchmarks.support.xai", str(port)), folder / "xai.log")
        stack.push_async_callback(stop, xai)
        system = System(folder, progress, xai_url=f"http://127.0.0.1:{port}", settings=dict(settings or {}))
        system.kafka = Kafka(folder / "kafka", jvm=JVM)
        stack.push_async_callback(system.stop)
        address = await system.start()
        broker = await stack.enter_async_context(Broker.connected(address.kafka))
        headers = {"Authorization": f"Bearer {address.token}"}
        http = await stack.enter_async_context(httpx.AsyncClient(headers=headers, trust_env=False, timeout=60))
        running = Running(system, folder, address, broker, http, xai.pid)
        while True:
            with suppress(httpx.TransportError):
                await running.answer_in(delay_ms)
                break
            await asyncio.sleep(0.05)
        yield running
