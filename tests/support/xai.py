"""The simulator's control API: the side of xAI that only tests see."""

import uuid
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Team:
    """A team at xAI, and the account that connects it."""

    team_id: str
    key: str
    account_id: str

    @property
    def integrations(self) -> str:
        """The connector's path of the account's integrations."""
        return f"/accounts/{self.account_id}/integrations"

    def path(self, integration_id: str) -> str:
        return f"{self.integrations}/{integration_id}"

    def credentials(self) -> dict[str, str]:
        """What a connection test is asked with."""
        return {"team_id": self.team_id, "management_key": self.key}


class XaiControl:
    """Teams with their keys, costs and faults."""

    _control: httpx.AsyncClient
    xai_url: str

    async def team(self, **options: Any) -> Team:
        """A new team with a valid key; its figures change only on request."""
        team = Team(str(uuid.uuid4()), f"fake-key-{uuid.uuid4().hex}", f"account-{uuid.uuid4().hex[:12]}")
        body = {"keys": [{"key": team.key}], "late_hours": None} | options
        await self.control("PUT", f"/teams/{team.team_id}", body)
        return team

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._control.request(method, f"{self.xai_url}/control{path}", json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def restate(self, team: Team, day: date, costs: dict[str, str]) -> None:
        await self.control("POST", f"/teams/{team.team_id}/restate", {"day": str(day), "costs": costs})

    async def revoke(self, team: Team) -> None:
        await self.control("POST", "/keys/revoke", {"key": team.key})

    async def play(self, team: Team, scenario: str, **changes: Any) -> None:
        """Play one of `simulator.scenarios` for the team; `changes` replace fields of its fault."""
        await self.control("POST", f"/scenarios/{scenario}", {"team_id": team.team_id, **changes})

    async def fail(self, team: Team, *, times: int | None = None, **fault: Any) -> None:
        """Fail so many calls about the team, by default all."""
        await self.control("POST", "/faults", {"team_id": team.team_id, "times": times, **fault})

    async def slow_down(self, *, milliseconds: int) -> None:
        """Every call takes so long, about whatever team."""
        await self.control("POST", "/faults", {"times": None, "delay_ms": milliseconds})

    async def clear_faults(self) -> None:
        await self.control("DELETE", "/faults")

    async def calls(self, team: Team) -> list[dict[str, Any]]:
        """The calls that xAI received about the team."""
        answer = await self.control("GET", f"/requests?team_id={team.team_id}")
        found: list[dict[str, Any]] = answer["requests"]
        return found

    async def served(self, team: Team, first: date, last: date) -> dict[date, dict[str, Decimal]]:
        """What xAI reports now of each day: USD per label."""
        answer = await self.control("GET", f"/teams/{team.team_id}/costs?from={first}&to={last}")
        return {
            date.fromisoformat(day): {label: Decimal(usd) for label, usd in costs.items()}
            for day, costs in answer["days"].items()
        }
