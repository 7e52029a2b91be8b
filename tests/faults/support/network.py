"""A system with Toxiproxy between its services and broker or database, which breaks connections as bad networks do."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum
from pathlib import Path

import httpx
from grafient.local.kafka import Kafka
from grafient.local.processes import free_ports, spawn, stop
from grafient.local.system import System

from tests.faults.support.load import SETTINGS
from tests.support.waiting import until

TOXIPROXY = Path(__file__).parents[3] / ".tools" / "bin" / "toxiproxy"
FOR_EVER = 3_600_000
"""Milliseconds: longer than any test."""
DEADLINE = 30.0
"""Seconds for an answer of Toxiproxy: at the end of a fault it may wait 5 for each piece that it holds, up to 25."""


class Side(StrEnum):
    """What the services connect to."""

    BROKER = "broker"
    POSTGRES = "Postgres"


class Way(StrEnum):
    """Which half of a connection, in Toxiproxy's terms."""

    THERE = "upstream"
    BACK = "downstream"


class Network:
    """Toxiproxy's control API: what is broken stays broken until its context ends."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, trust_env=False, timeout=DEADLINE)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def answers(self) -> bool:
        try:
            return (await self._http.get("/version")).is_success
        except httpx.TransportError:
            return False

    async def connect(self, ports: dict[Side, tuple[int, int]]) -> None:
        proxies = [
            {"name": side, "listen": f"127.0.0.1:{front}", "upstream": f"127.0.0.1:{behind}", "enabled": True}
            for side, (front, behind) in ports.items()
        ]
        (await self._http.post("/populate", json=proxies)).raise_for_status()

    @asynccontextmanager
    async def delayed(self, side: Side, way: Way) -> AsyncIterator[None]:
        """Nothing arrives one way; afterwards all of it does, late and in order."""
        async with self._toxic(side, "latency", way, latency=FOR_EVER):
            yield

    @asynccontextmanager
    async def lost(self, side: Side, way: Way) -> AsyncIterator[None]:
        """Nothing arrives one way, ever; afterwards the connections are closed."""
        async with self._toxic(side, "timeout", way, timeout=0):
            yield

    @asynccontextmanager
    async def dribbled(self, side: Side, pause_us: int) -> AsyncIterator[None]:
        """Both ways one byte at a time."""
        slices = {"average_size": 1, "size_variation": 0, "delay": pause_us}
        async with self._toxic(side, "slicer", Way.THERE, **slices), self._toxic(side, "slicer", Way.BACK, **slices):
            yield

    @asynccontextmanager
    async def cut_after(self, side: Side, response_bytes: int) -> AsyncIterator[None]:
        """Every request arrives whole; its connection is cut when the responses exceed `response_bytes`."""
        async with self._toxic(side, "limit_data", Way.BACK, bytes=response_bytes):
            yield

    @asynccontextmanager
    async def cut_off(self, side: Side) -> AsyncIterator[None]:
        """All connections end at once, and no new one is accepted."""
        (await self._http.post(f"/proxies/{side}", json={"enabled": False})).raise_for_status()
        try:
            yield
        finally:
            (await self._http.post(f"/proxies/{side}", json={"enabled": True})).raise_for_status()

    @asynccontextmanager
    async def _toxic(self, side: Side, kind: str, way: Way, **attributes: int) -> AsyncIterator[None]:
        toxic, url = f"{kind}-{way}", f"/proxies/{side}/toxics"
        body = {"name": toxic, "type": kind, "stream": way, "attributes": attributes}
        (await self._http.post(url, json=body)).raise_for_status()
        try:
            yield
        finally:
            (await self._http.delete(f"{url}/{toxic}")).raise_for_status()


class ProxiedKafka(Kafka):
    """A second listener is for clients behind the proxy: it advertises the proxy's port as its own."""

    def __init__(self, folder: Path, front: int) -> None:
        super().__init__(folder)
        self._front = front
        self.behind = free_ports(1)[0]

    def _properties(self) -> str:
        own = dict(line.split("=", 1) for line in super()._properties().splitlines())
        own["listeners"] += f",PROXIED://127.0.0.1:{self.behind}"
        own["advertised.listeners"] += f",PROXIED://127.0.0.1:{self._front}"
        own["listener.security.protocol.map"] = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT"
        return "\n".join(f"{name}={value}" for name, value in own.items())


class ProxiedSystem(System):
    """The services connect through the proxy; the test and the cron emitter do not."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, lambda _text: None, delay_ms=5, settings=SETTINGS)
        self.control, self._broker_port, self._database_port = free_ports(3)
        self.kafka: ProxiedKafka = ProxiedKafka(folder / "kafka", self._broker_port)

    @property
    def proxies(self) -> dict[Side, tuple[int, int]]:
        """For each side the port that the services know, and the port behind it."""
        return {
            Side.BROKER: (self._broker_port, self.kafka.behind),
            Side.POSTGRES: (self._database_port, self.postgres.port),
        }

    def environment_of(self, service: str) -> dict[str, str]:
        direct = super().environment_of(service)
        url = direct["DATABASE_URL"].replace(f":{self.postgres.port}/", f":{self._database_port}/")
        return direct | {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self._broker_port}", "DATABASE_URL": url}


@asynccontextmanager
async def toxiproxy(system: ProxiedSystem) -> AsyncIterator[Network]:
    """Run the proxy, before the system starts and until it has stopped."""
    assert TOXIPROXY.exists(), "run 'make toxiproxy' first: it builds the proxy"
    system.logs.mkdir(parents=True, exist_ok=True)
    network = Network(f"http://127.0.0.1:{system.control}")
    async with AsyncExitStack() as stack:
        argv = (str(TOXIPROXY), "-host", "127.0.0.1", "-port", str(system.control))
        stack.push_async_callback(stop, await spawn(argv, system.logs / "toxiproxy.out"))
        stack.push_async_callback(network.aclose)
        await until(network.answers)
        await network.connect(system.proxies)
        yield network
