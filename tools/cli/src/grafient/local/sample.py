"""What `grafient demo` shows: an account of three teams, so that every mark of a figure can be seen."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import httpx
from simulator.teams import DEMO_KEY, DEMO_TEAM, LATE_KEY, LATE_TEAM, PROTOTYPE_KEY, PROTOTYPE_TEAM

from grafient.local.errors import StartError
from grafient.local.system import ACCOUNT, Address

DEADLINE = 60.0
RESTATED, LATE, REFUSED = "Chat product", "Research", "Prototype"
TEAMS = {
    RESTATED: (DEMO_TEAM, DEMO_KEY),
    LATE: (LATE_TEAM, LATE_KEY),
    REFUSED: (PROTOTYPE_TEAM, PROTOTYPE_KEY),
}
"""Team ID and key by label."""
PLAN = "pro"
READ_DAYS = 60
"""Of all teams; what is older is refused to one of them before it is read."""
RESTATED_DAYS_AGO = 3
ADDED = {"Chat grok-4-0709": "4.2"}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shown:
    """What was found, and after how many seconds."""

    days: list[dict[str, Any]]
    connected_in: float
    synced_in: float


class Sample:
    """The account of the demo, in a system whose xAI is the simulator."""

    def __init__(self, http: httpx.AsyncClient, address: Address) -> None:
        self._http = http
        self._integrations = f"{address.connector_url}/v1/accounts/{ACCOUNT}/integrations"
        self._costs = f"{address.ledger_url}/v1/accounts/{ACCOUNT}/costs"
        self._control = f"{address.xai_url}/control"

    async def show(self) -> Shown:
        """Connect the teams, let each have its trouble, and return the costs; raises StartError."""
        await self._refuse_old_days()
        started = time.perf_counter()
        ids = dict(zip(TEAMS, await asyncio.gather(*map(self._connected, TEAMS)), strict=True))
        await until(lambda: self._days(READ_DAYS), lambda days: all(day["covered"] for day in days))
        connected_in = time.perf_counter() - started
        await self._restate()
        await self._revoke()
        synced_in = await self._force_sync(ids[RESTATED])
        return Shown(await self._days(30), connected_in, synced_in)

    async def _connected(self, label: str) -> str:
        """The integration's ID, also where the team was connected by a start before."""
        team_id, key = TEAMS[label]
        body = {"team_id": team_id, "management_key": key, "plan": PLAN, "label": label}
        answer = await self._http.post(self._integrations, json=body)
        if answer.status_code not in {httpx.codes.CREATED, httpx.codes.CONFLICT}:
            raise StartError(f"the team {label} could not be connected: {answer.text}")
        return str(answer.json()["integration_id"])

    async def _days(self, count: int) -> list[dict[str, Any]]:
        """The last ones, today included."""
        period = {"from": str(_days_ago(count - 1)), "to": str(_days_ago(0))}
        answer = (await self._http.get(self._costs, params=period)).raise_for_status()
        days: list[dict[str, Any]] = answer.json()["days"]
        return days

    async def _force_sync(self, integration_id: str) -> float:
        url, started = f"{self._integrations}/{integration_id}", time.perf_counter()
        accepted = (await self._http.post(f"{url}/sync", json={"trigger": "force"})).raise_for_status().json()

        async def syncs() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = (await self._http.get(f"{url}/syncs")).raise_for_status().json()["syncs"]
            return found

        await until(syncs, lambda found: any(accepted["request_id"] in one["request_ids"] for one in found))
        return time.perf_counter() - started

    async def _refuse_old_days(self) -> None:
        """Of the one team, so that these days are not read."""
        fault = {"team_id": PROTOTYPE_TEAM, "status": 401, "begins_over_days_ago": READ_DAYS - 1, "times": None}
        await self._play("/faults", fault)

    async def _revoke(self) -> None:
        """From now on xAI refuses the team's key, whatever is read; another key of it would be accepted."""
        await self._play("/keys/revoke", {"key": PROTOTYPE_KEY})
        (await self._http.delete(f"{self._control}/faults")).raise_for_status()

    async def _restate(self) -> None:
        body = {"day": str(_days_ago(RESTATED_DAYS_AGO)), "add": ADDED}
        await self._play(f"/teams/{DEMO_TEAM}/restate", body)

    async def _play(self, path: str, body: object) -> None:
        (await self._http.post(f"{self._control}{path}", json=body)).raise_for_status()


def _days_ago(count: int) -> date:
    return datetime.now(UTC).date() - timedelta(days=count)


async def until(ask: Callable[[], Awaitable[T]], enough: Callable[[T], bool]) -> T:
    """What `ask` gives once it is enough; raises StartError where that takes too long."""
    try:
        async with asyncio.timeout(DEADLINE):
            while not enough(got := await ask()):
                await asyncio.sleep(0.02)
            return got
    except TimeoutError:
        raise StartError(f"the costs did not arrive within {DEADLINE:.0f} s: see the logs") from None
