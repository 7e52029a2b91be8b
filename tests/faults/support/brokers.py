"""The system on three brokers, and how long it makes no progress while one of them is broken."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from grafient.local.system import System

from tests.faults.support.load import SETTINGS, Load, under_load
from tests.support.system import SystemClient
from tests.support.three_brokers import Cluster

SERVICES = ("connector", "syncer", "ledger")
LOOK_EVERY = 0.25
"""Seconds."""


@asynccontextmanager
async def three_brokers_under_load(
    folder: Path, *, teams: int, settings: dict[str, str] | None = None
) -> AsyncIterator[Load]:
    """A new system on three brokers; what is added to `settings` counts for services that start later."""
    own = {} if settings is None else settings
    own |= SETTINGS
    system = System(folder, lambda _text: None, delay_ms=5, durable=False, settings=own)
    system.kafka = Cluster(folder / "brokers")
    async with under_load(system, teams) as load:
        yield load


def cluster_of(load: Load) -> Cluster:
    """The brokers of its system."""
    cluster = load.client.system.kafka
    assert isinstance(cluster, Cluster)
    return cluster


@dataclass
class Pauses:
    """The longest time without progress, in seconds, by who makes it."""

    longest: dict[str, float] = field(default_factory=dict)
    _last: dict[str, tuple[int, float]] = field(default_factory=dict)

    def see(self, counts: dict[str, int]) -> None:
        """How far each has come now."""
        now = time.monotonic()
        for name, count in counts.items():
            before, since = self._last.setdefault(name, (count, now))
            self.longest[name] = max(self.longest.get(name, 0.0), now - since)
            if count != before:
                self._last[name] = count, now

    def __str__(self) -> str:
        return ", ".join(f"{name} waits {seconds:.0f} s" for name, seconds in self.longest.items())


@asynccontextmanager
async def broken(load: Load) -> AsyncIterator[Pauses]:
    """While the body breaks brokers; afterwards every replica is in sync again, and no service was restarted."""
    cluster, pauses = cluster_of(load), Pauses()
    await cluster.in_sync()
    before = _pids(load.client)
    looking = asyncio.create_task(_look(load, pauses))
    try:
        yield pauses
        await cluster.in_sync()
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
    assert _pids(load.client) == before, "a service was restarted"


def _pids(client: SystemClient) -> dict[str, int]:
    return {name: client.pid(name) for name in SERVICES}


async def _look(load: Load, pauses: Pauses) -> None:
    while True:
        ((outcomes,),) = await load.client.rows("SELECT count(*) FROM ledger.outcomes")
        pauses.see({"connector": len(load.accepted), "ledger": outcomes})
        await asyncio.sleep(LOOK_EVERY)
