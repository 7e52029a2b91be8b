"""Load on the whole system, one fault in the middle of it, and what must be true when it is over, whatever the fault was."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from contract.cloudevents import Event, MalformedError, decode
from contract.topics import SYNC_OUTCOMES
from grafient.local.system import System

from tests.faults.support.traces import Traces
from tests.support.secret_search import Canaries, Canary
from tests.support.system import SystemClient, Team
from tests.support.waiting import until

SETTINGS = {"LOG_LEVEL": "DEBUG", "SYNCER_HEAL_EVERY_SECONDS": "1", "SYNCER_TEAM_CALLS_PER_MINUTE": "6000"}
"""Of services under load: deliveries are counted from their logs, and nobody waits for a minute to be over."""
HEALED_WITHIN = 60.0
"""Seconds from a fault's end until everything that was asked for is there."""


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table that a run ends with."""

    fault: str
    asked: int
    """Force Syncs that were accepted while it lasted."""
    healed_after: float
    """Seconds from its end until the figures of everybody were right."""
    twice: int
    """Records that the broker gave to a service more than once."""
    lost: int
    """Days that are not what xAI said, and accepted requests without an outcome."""
    doubled: int
    """Accepted requests with more than one outcome."""


@dataclass
class Load:
    """Teams whose costs are restated, and whose customers press Force Sync, as fast as the connector accepts it."""

    world: SystemClient
    teams: list[tuple[Team, str]] = field(default_factory=list)
    accepted: dict[str, str] = field(default_factory=dict)
    """Request ID to integration."""
    told: int = 0
    """How many of them are in the table already."""
    traces: Traces = field(default_factory=Traces)
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    async def connect(self, count: int) -> None:
        for _ in range(count):
            team = await self.world.team()
            self.teams.append((team, await self.world.connect(team)))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        pressing = asyncio.create_task(self._press())
        try:
            yield
        finally:
            pressing.cancel()
            with suppress(asyncio.CancelledError):
                await pressing

    async def _press(self) -> None:
        while True:
            team, integration_id = self.chance.choice(self.teams)
            day = datetime.now(UTC).date() - timedelta(days=self.chance.randrange(7))
            await self.world.restate(
                team, day, {"grok-4-fast": f"{self.chance.randrange(1, 10**6)}.{self.chance.randrange(10**9)}"}
            )
            await self.force(team, integration_id)
            await asyncio.sleep(0.05)  # of the load, not of a test

    async def force(self, team: Team, integration_id: str) -> str | None:
        """Answers the request's ID where it was accepted."""
        path = f"/accounts/{team.account_id}/integrations/{integration_id}/sync"
        try:
            answer = await self.world.request("POST", path, {})
        except httpx.TransportError:
            return None
        if answer.status_code != httpx.codes.ACCEPTED:
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
            return None
        request_id = str(answer.json()["request_id"])
        self.accepted[request_id] = integration_id
        return request_id

    async def heals(self, fault: str) -> Result:
        """From now on all is well: wait until it shows; then nothing may be missing, and nothing twice."""
        began, asked = time.monotonic(), len(self.accepted) - self.told
        async with asyncio.timeout(HEALED_WITHIN):
            for team, integration_id in self.teams:
                while not (last := await self.force(team, integration_id)):
                    await asyncio.sleep(0.1)
                await self.world.ended(team, integration_id, last)
            await self._quiet()
            wrong = await self._wrong_days()
        healed_after = time.monotonic() - began
        endings = await self._endings()
        silent = [request_id for request_id, found in endings.items() if not found]
        doubled = [request_id for request_id, found in endings.items() if len(found) > 1]
        assert (wrong, silent, doubled) == ([], [], [])
        assert await self._unreconciled() == []
        keys = Canaries(Canary(team.key.removeprefix("fake-key-")) for team, _ in self.teams)
        assert await self.traces.hits(self.world, keys) == []
        self.told = len(self.accepted)
        twice = self.traces.delivered_twice()
        return Result(fault, asked, healed_after, twice, len(wrong) + len(silent), len(doubled))

    async def _quiet(self) -> None:
        """Nothing waits any more."""
        open_windows = "SELECT count(*) FROM syncer.windows WHERE closed_at IS NULL"
        await until(lambda: self.world.rows(open_windows), lambda rows: rows == [(0,)])
        await self.world.consumed("ledger.xai.costs.v1", "xai.costs.v1")
        await self.world.consumed("connector.xai.sync-outcomes.v1", "xai.sync-outcomes.v1")

    async def _wrong_days(self) -> list[tuple[str, date]]:
        """Days that the screen does not show as xAI says them now, or does not call covered."""
        today = datetime.now(UTC).date()
        first, wrong = today - timedelta(days=29), []
        for team, _ in self.teams:
            served, shown = await self.world.served(team, first, today), await self.world.shown(team, first, today)
            covered = {day["day"]: day["covered"] for day in await self.world.costs(team, first, today)}
            wrong += [
                (team.team_id, day) for day in served if served[day] != shown.get(day) or not covered.get(str(day))
            ]
        return wrong

    async def _unreconciled(self) -> list[Any]:
        """Integrations whose newest reading the ledger could not prove."""
        newest = """
            SELECT integration_id FROM (SELECT DISTINCT ON (integration_id) integration_id, reconciled FROM ledger.outcomes
                WHERE integration_id = ANY(%s::uuid[]) ORDER BY integration_id, observed_at DESC) newest
            WHERE NOT reconciled
        """
        return await self.world.rows(newest, [integration_id for _, integration_id in self.teams])

    async def _endings(self) -> dict[str, set[str]]:
        """How each accepted request ended. Copies of one event are one ending; so are the judgements of one reading."""
        endings: dict[str, set[str]] = {request_id: set() for request_id in self.accepted}
        for record in await self.world.records(SYNC_OUTCOMES.name):
            with suppress(MalformedError):  # a test's own poison
                event: Event[Any] = decode(record, SYNC_OUTCOMES)
                if getattr(event.message, "final", True):
                    for request_id in endings.keys() & set(event.message.request_ids):
                        endings[request_id].add(str(getattr(event.message, "reading_id", event.event_id)))
        return endings


@asynccontextmanager
async def load_on(folder: Path, *, teams: int, **settings: str) -> AsyncIterator[Load]:
    """So many connected teams on a system of their own; `settings` are further ones of its services."""
    system = System(folder, lambda _text: None, delay_ms=5, settings=SETTINGS | settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(system.stop)
        await system.start()
        load = Load(await stack.enter_async_context(SystemClient(system)))
        await load.connect(teams)
        yield load
