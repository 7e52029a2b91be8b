"""A stack whose services reach broker and database through Toxiproxy, which does to the bytes what bad networks do to them."""

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

TOXIPROXY = Path(__file__).parents[2] / ".tools" / "bin" / "toxiproxy"
FOR_EVER = 3_600_000
"""Milliseconds: longer than any test."""


class Side(StrEnum):
    """What the services talk to."""

    BROKER = "broker"
    POSTGRES = "Postgres"


class Way(StrEnum):
    """Which half of a connection: Toxiproxy's words."""

    THERE = "upstream"
    BACK = "downstream"


class Network:
    """Toxiproxy's control side: what is broken stays broken until its context ends."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, trust_env=False)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def answers(self) -> bool:
        try:
            return (await self._http.get("/version")).is_success
        except httpx.TransportError:
            return False

    async def connect(self, ports: dict[Side, tuple[int, int]]) -> None:
        """For each side the port that the services know, and the port behind it."""
        proxies = [
            {"name": side, "listen": f"127.0.0.1:{front}", "upstream": f"127.0.0.1:{behind}", "enabled": True}
            for side, (front, behind) in ports.items()
        ]
        (await self._http.post("/populate", json=proxies)).raise_for_status()

    @asynccontextmanager
    async def held(self, side: Side, way: Way) -> AsyncIterator[None]:
        """Nothing arrives one way; all of it does afterwards, late and in order."""
        async with self._toxic(side, "latency", way, latency=FOR_EVER):
            yield

    @asynccontextmanager
    async def swallowed(self, side: Side, way: Way) -> AsyncIterator[None]:
        """Nothing arrives one way, nor ever will: afterwards the connections are gone."""
        async with self._toxic(side, "timeout", way, timeout=0):
            yield

    @asynccontextmanager
    async def dribbled(self, side: Side, pause_us: int) -> AsyncIterator[None]:
        """Both ways one byte at a time."""
        slices = {"average_size": 1, "size_variation": 0, "delay": pause_us}
        async with self._toxic(side, "slicer", Way.THERE, **slices), self._toxic(side, "slicer", Way.BACK, **slices):
            yield

    @asynccontextmanager
    async def unheard(self, side: Side, after: int = 0) -> AsyncIterator[None]:
        """Every request arrives whole, and its connection is cut when the answer has come to more than `after` bytes."""
        async with self._toxic(side, "limit_data", Way.BACK, bytes=after):
            yield

    @asynccontextmanager
    async def cut_off(self, side: Side) -> AsyncIterator[None]:
        """All connections end at once, and there are no new ones."""
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
    """A second listener is for those who come through the proxy: it tells them the proxy's port as its own."""

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
    """The services come through the proxy; the test itself, the cron emitter and whoever looks do not."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, lambda _text: None, delay_ms=5, settings=SETTINGS)
        self._control, broker, self._database_port = free_ports(3)
        self._broker_port = broker
        self.kafka: ProxiedKafka = ProxiedKafka(folder / "kafka", broker)

    def environment_of(self, service: str) -> dict[str, str]:
        direct = super().environment_of(service)
        url = direct["DATABASE_URL"].replace(f":{self.postgres.port}/", f":{self._database_port}/")
        return direct | {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self._broker_port}", "DATABASE_URL": url}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Network]:
        """The stack, behind a network that can be broken."""
        assert TOXIPROXY.exists(), "run 'make toxiproxy' first: it builds the proxy"
        self.logs.mkdir(parents=True, exist_ok=True)
        network = Network(f"http://127.0.0.1:{self._control}")
        async with AsyncExitStack() as stack:
            argv = (str(TOXIPROXY), "-host", "127.0.0.1", "-port", str(self._control))
            stack.push_async_callback(stop, await spawn(argv, self.logs / "toxiproxy.out"))
            stack.push_async_callback(network.aclose)
            await until(network.answers)
            await network.connect(
                {
                    Side.BROKER: (self._broker_port, self.kafka.behind),
                    Side.POSTGRES: (self._database_port, self.postgres.port),
                }
            )
            stack.push_async_callback(self.stop)
            await self.start()
            yield network
