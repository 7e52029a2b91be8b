"""Load on the whole system: teams with changing costs, and customers who press Force Sync."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
from grafient.local.system import System

from tests.faults.support.traces import Traces
from tests.support.system import SystemClient
from tests.support.xai import Team

SETTINGS = {
    "LOG_LEVEL": "DEBUG",
    "SYNCER_HEAL_EVERY_SECONDS": "1",
    "SYNCER_CALLS_IN_FLIGHT": "8",
    "SYNCER_TEAM_CALLS_PER_MINUTE": "6000",
}
"""Of services under load: deliveries are counted in their logs, and no test waits for a minute's calls."""
Connected = tuple[Team, str]
"""A team, and its integration's ID."""


@dataclass
class Load:
    """Restates costs and requests syncs as fast as the connector accepts them."""

    client: SystemClient
    teams: list[Connected] = field(default_factory=list)
    accepted: dict[str, str] = field(default_factory=dict)
    """Request ID to integration."""
    proven: int = 0
    """Accepted requests that an earlier proof has counted."""
    traces: Traces = field(default_factory=Traces)
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    async def connect(self, count: int) -> None:
        """Connect new teams, all at once."""
        teams = [await self.client.team() for _ in range(count)]
        self.teams += zip(teams, await asyncio.gather(*map(self.client.connect, teams)), strict=True)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        syncing = asyncio.create_task(self._sync())
        try:
            yield
        finally:
            syncing.cancel()
            with suppress(asyncio.CancelledError):
                await syncing

    async def _sync(self) -> None:
        while True:
            team, integration_id = self.chance.choice(self.teams)
            day = datetime.now(UTC).date() - timedelta(days=self.chance.randrange(7))
            costs = (await self.client.served(team, day, day))[day]
            more = Decimal(self.chance.randrange(1, 10**9)).scaleb(-8)  # what is less or absurd would be questioned
            costs["grok-4-fast"] = costs.get("grok-4-fast", Decimal(0)) + more
            await self.client.restate(team, day, {label: f"{usd:f}" for label, usd in costs.items()})
            await self.force(team, integration_id)
            await asyncio.sleep(0.05)  # the pace of the load

    async def force(self, team: Team, integration_id: str) -> str | None:
        """Request a sync; return its ID, or None where the connector is unavailable."""
        path = f"/accounts/{team.account_id}/integrations/{integration_id}/sync"
        try:
            response = await self.client.request("POST", path, {})
        except httpx.TransportError:
            return None
        if response.status_code != httpx.codes.ACCEPTED:
            assert response.status_code == httpx.codes.SERVICE_UNAVAILABLE, response.text
            return None
        request_id = str(response.json()["request_id"])
        self.accepted[request_id] = integration_id
        return request_id


@asynccontextmanager
async def system_under_load(folder: Path, *, teams: int, **settings: str) -> AsyncIterator[Load]:
    """A new system with connected teams; `settings` are additional settings of its services."""
    async with under_load(System(folder, lambda _text: None, delay_ms=5, settings=SETTINGS | settings), teams) as load:
        yield load


@asynccontextmanager
async def under_load(system: System, teams: int) -> AsyncIterator[Load]:
    """Start the system, and connect so many teams."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(system.stop)
        await system.start()
        load = Load(await stack.enter_async_context(SystemClient(system)))
        await load.connect(teams)
        yield load
