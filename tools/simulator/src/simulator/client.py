"""A test's client of a simulator: the product's call, and the control API."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import httpx

from simulator.teams import DEMO_KEY, DEMO_TEAM


@dataclass(frozen=True, slots=True)
class Client:
    http: httpx.AsyncClient
    """Its base URL is the simulator's."""

    async def ask(
        self, first_day: date, last_day: date, *, team: str = DEMO_TEAM, key: str = DEMO_KEY, grouped: bool = True
    ) -> httpx.Response:
        """Call the endpoint as the product does, for UTC days, both included."""
        return await self.post(query(first_day, last_day, grouped=grouped), team=team, key=key)

    async def post(self, body: object, *, team: str = DEMO_TEAM, key: str = DEMO_KEY) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return await self.http.post(f"/v1/billing/teams/{team}/usage", json=body, headers=headers)

    async def control(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Call the control API; `path` is relative to /control. Raises httpx.HTTPStatusError."""
        return (await self.http.request(method, f"/control{path}", json=body)).raise_for_status()

    async def costs(self, first_day: date, last_day: date, *, team: str = DEMO_TEAM) -> dict[date, dict[str, Decimal]]:
        """The exact costs per label of every day, both included, as the endpoint would response now."""
        response = await self.control("GET", f"/teams/{team}/costs?from={first_day}&to={last_day}")
        days: Mapping[str, Mapping[str, str]] = response.json()["days"]
        return {
            date.fromisoformat(day): {label: Decimal(usd) for label, usd in costs.items()}
            for day, costs in days.items()
        }

    async def fault(self, **fields: object) -> None:
        await self.control("POST", "/faults", fields)

    async def scenario(self, name: str, **fields: object) -> None:
        """Play one of `simulator.scenarios`; `fields` of a fault narrow or change it."""
        await self.control("POST", f"/scenarios/{name}", fields)

    async def requests(self, team: str = DEMO_TEAM) -> list[dict[str, Any]]:
        """The team's calls of the usage endpoint, oldest first."""
        found: list[dict[str, Any]] = (await self.control("GET", f"/requests?team_id={team}")).json()["requests"]
        return found


def query(first_day: date, last_day: date, *, grouped: bool = True) -> dict[str, dict[str, object]]:
    end = last_day + timedelta(days=1)
    return {
        "analyticsRequest": {
            "timeRange": {
                "startTime": f"{first_day} 00:00:00",
                "endTime": f"{end} 00:00:00",
                "timezone": "Etc/GMT",
            },
            "timeUnit": "TIME_UNIT_DAY",
            "values": [{"name": "usd", "aggregation": "AGGREGATION_SUM"}],
            "groupBy": ["description"] if grouped else [],
            "filters": [],
        }
    }
