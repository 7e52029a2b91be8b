"""What tests of the whole system use of it: HTTP, topics, tables, processes, and the simulator's control API."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from signal import Signals
from typing import Any, Self

import httpx
import psycopg
from grafient.local.system import System

from tests.support.topic_client import TopicClient
from tests.support.waiting import until


@dataclass(frozen=True, slots=True)
class Team:
    """A team at xAI, and the account that connects it."""

    team_id: str
    key: str
    account_id: str


class SystemClient(TopicClient):
    """The clients of a test: HTTP, Kafka, SQL and the simulator's control API."""

    def __init__(self, system: System) -> None:
        super().__init__(system.kafka.settings())
        self.system = system
        self.address = system.address()

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        headers = {"Authorization": f"Bearer {self.address.token}"}
        clients = (httpx.AsyncClient(headers=headers, timeout=30, trust_env=False), httpx.AsyncClient(trust_env=False))
        self._http, self._control = [await self._stack.enter_async_context(client) for client in clients]
        self._database = await psycopg.AsyncConnection.connect(self.dsn, autocommit=True)
        self._stack.push_async_callback(self._database.close)
        return self

    @property
    def dsn(self) -> str:
        """The database's URL as its owner, for psycopg."""
        return self.address.database_url.replace("+psycopg", "")

    @property
    def environment(self) -> dict[str, str]:
        """What an operator's command needs to reach database and broker."""
        return {"KAFKA_BOOTSTRAP_SERVERS": self.address.kafka, "DATABASE_URL": self.address.database_url}

    # processes

    def pid(self, name: str) -> int:
        """The ID of the process that runs now."""
        return self.system.address().pids[name]

    def signal(self, name: str, how: Signals) -> int:
        """Send the signal; return the ID of the process that it went to."""
        pid = self.pid(name)
        os.kill(pid, how)
        return pid

    async def replaced(self, name: str, pid: int) -> int:
        """Wait until the supervisor has started another process in the place of `pid`; return its ID."""
        return await until(lambda: self.pid(name), lambda current: current != pid)

    async def connector_answers(self) -> None:
        """Wait until the connector serves requests."""

        async def ask() -> bool:
            with suppress(httpx.TransportError):
                return (await self.request("GET", "/accounts/anyone/integrations")).is_success
            return False

        await until(ask)

    async def reconnect(self) -> None:
        """Connect to the database once its new process answers."""
        await self._database.close()

        async def connect() -> psycopg.AsyncConnection[Any] | None:
            with suppress(psycopg.OperationalError):
                return await psycopg.AsyncConnection.connect(self.dsn, autocommit=True)
            return None

        self._database = await until(connect)
        self._stack.push_async_callback(self._database.close)

    # the simulator

    async def team(self, **options: Any) -> Team:
        """A new team with a key that works; its figures do not move by themselves."""
        team = Team(str(uuid.uuid4()), f"fake-key-{uuid.uuid4().hex}", f"account-{uuid.uuid4().hex[:12]}")
        body = {"keys": [{"key": team.key}], "late_hours": None} | options
        await self.control("PUT", f"/teams/{team.team_id}", body)
        return team

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._control.request(method, f"{self.address.xai_url}/control{path}", json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def restate(self, team: Team, day: date, costs: dict[str, str]) -> None:
        await self.control("POST", f"/teams/{team.team_id}/restate", {"day": str(day), "costs": costs})

    async def clear_faults(self) -> None:
        await self.control("DELETE", "/faults")

    async def calls(self, team: Team) -> list[dict[str, Any]]:
        """What xAI was asked about the team."""
        answer = await self.control("GET", f"/requests?team_id={team.team_id}")
        found: list[dict[str, Any]] = answer["requests"]
        return found

    async def served(self, team: Team, first: date, last: date) -> dict[date, dict[str, Decimal]]:
        """What xAI says now of each day: USD per label."""
        answer = await self.control("GET", f"/teams/{team.team_id}/costs?from={first}&to={last}")
        return {
            date.fromisoformat(day): {label: Decimal(usd) for label, usd in costs.items()}
            for day, costs in answer["days"].items()
        }

    # the system's APIs

    async def request(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return await self._http.request(method, f"{self.address.connector_url}/v1{path}", json=body)

    async def connect(self, team: Team, plan: str = "free") -> str:
        """Connect the team, and wait until its backfill is in Postgres; return the integration's ID."""
        integration_id = await self.add(team, plan)
        await self.backfilled(team, integration_id)
        return integration_id

    async def add(self, team: Team, plan: str = "free") -> str:
        body = {"team_id": team.team_id, "management_key": team.key, "plan": plan}
        answer = await self.request("POST", f"/accounts/{team.account_id}/integrations", body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["integration_id"])

    async def backfilled(self, team: Team, integration_id: str) -> None:
        async def backfills() -> tuple[int, int]:
            shown = await self.card(team, integration_id)
            return shown["backfill"]["days_read"], shown["backfill"]["days_expected"]

        await until(backfills, lambda got: got[0] == got[1] > 0)

    async def card(self, team: Team, integration_id: str) -> dict[str, Any]:
        answer = await self.request("GET", f"/accounts/{team.account_id}/integrations/{integration_id}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def force(self, team: Team, integration_id: str, **body: Any) -> dict[str, Any]:
        """Force Sync, and wait for how it ended: one of the rows of the history."""
        path = f"/accounts/{team.account_id}/integrations/{integration_id}/sync"
        answer = await self.request("POST", path, body)
        assert answer.status_code == 202, answer.text
        return await self.ended(team, integration_id, answer.json()["request_id"])

    async def syncs(self, team: Team, integration_id: str) -> list[dict[str, Any]]:
        answer = await self.request("GET", f"/accounts/{team.account_id}/integrations/{integration_id}/syncs")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["syncs"]
        return found

    async def ended(self, team: Team, integration_id: str, request_id: str) -> dict[str, Any]:
        """The final outcome of a request."""

        async def outcome() -> dict[str, Any] | None:
            found = [one for one in await self.syncs(team, integration_id) if request_id in one["request_ids"]]
            return next((one for one in found if one["final"] or one["code"] is None), None)

        return await until(outcome)

    async def costs(self, team: Team, first: date, last: date, **query: str) -> list[dict[str, Any]]:
        """The days as the screen shows them."""
        url = f"{self.address.ledger_url}/v1/accounts/{team.account_id}/costs"
        answer = await self._http.get(url, params={"from": str(first), "to": str(last), **query})
        assert answer.status_code == 200, answer.text
        days: list[dict[str, Any]] = answer.json()["days"]
        return days

    async def shown(self, team: Team, first: date, last: date) -> dict[date, dict[str, Decimal]]:
        """The screen's figures in the form of `served`."""
        return {
            date.fromisoformat(day["day"]): {one["label"]: Decimal(one["usd"]) for one in day["models"]}
            for day in await self.costs(team, first, last)
        }

    # tables

    async def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        cursor = await self._database.execute(query.encode(), values)
        return await cursor.fetchall()

    @asynccontextmanager
    async def locked(self, table: str) -> AsyncIterator[None]:
        """Nobody can write to the table meanwhile."""
        async with await psycopg.AsyncConnection.connect(self.dsn) as connection:
            await connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE".encode())
            yield
            await connection.rollback()
