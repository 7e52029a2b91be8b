"""A test's view of the whole system: HTTP, topics, tables, processes, and the simulator's control API."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import date
from decimal import Decimal
from pathlib import Path
from signal import Signals
from typing import Any, Self

import httpx
import psycopg
from contract.topics import COSTS
from grafient.local.kafka import Kafka
from grafient.local.system import System

from tests.support.commands import in_process
from tests.support.topic_client import TopicClient
from tests.support.urls import psycopg_url
from tests.support.waiting import until
from tests.support.xai import Team, XaiControl


@asynccontextmanager
async def running_system(folder: Path, *, kafka: Kafka | None = None, **options: Any) -> AsyncIterator[System]:
    """Every process, for real, with xAI that answers at once; what is stored need not survive the machine.

    `kafka` is started in the place of one broker.
    """
    system = System(folder, lambda _text: None, delay_ms=0, durable=False, **options)
    system.kafka = kafka or system.kafka
    try:
        await system.start()
        yield system
    finally:
        await system.stop()


class SystemClient(TopicClient, XaiControl):
    """The clients of a test: HTTP, Kafka, SQL and the simulator's control API."""

    def __init__(self, system: System) -> None:
        super().__init__(system.kafka.settings())
        self.system = system
        self.address = system.address()
        self.xai_url = self.address.xai_url

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        headers = {"Authorization": f"Bearer {self.address.token}"}
        limits = httpx.Limits(keepalive_expiry=2)  # the simulator closes a connection that idles for 5 s
        clients = (
            httpx.AsyncClient(headers=headers, timeout=30, trust_env=False),
            httpx.AsyncClient(trust_env=False, limits=limits),
        )
        self.http, self._control = [await self._stack.enter_async_context(client) for client in clients]
        self._database = await psycopg.AsyncConnection.connect(self.dsn, autocommit=True)
        self._stack.push_async_callback(self._database.close)
        return self

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

    async def services_answer(self) -> None:
        """Wait until connector and ledger serve requests."""

        async def ask() -> bool:
            ledger = f"{self.address.ledger_url}/v1/accounts/anyone/coverage"
            with suppress(httpx.TransportError):
                answers = await self.request("GET", "/accounts/anyone/integrations"), await self.http.get(ledger)
                return all(one.is_success for one in answers)
            return False

        await until(ask)

    # commands

    @property
    def environment(self) -> dict[str, str]:
        """What an operator's command needs to reach database and broker."""
        return {"KAFKA_BOOTSTRAP_SERVERS": self.address.kafka, "DATABASE_URL": self.address.database_url}

    async def run(self, *arguments: str, status: int = 0, **env: str) -> Any:
        """Run a command of operators in this process; return the JSON that it prints."""
        return (await in_process(*arguments, "--json", env=self.environment | env)).json(status=status)

    # the system's APIs

    async def request(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return await self.http.request(method, f"{self.address.connector_url}/v1{path}", json=body)

    async def connected_team(self, plan: str = "free", **options: Any) -> tuple[Team, str]:
        """A new team whose backfill is in Postgres, and the integration's ID."""
        team = await self.team(**options)
        return team, await self.connect(team, plan)

    async def team_in_ledger(self) -> tuple[Team, str]:
        """The same, once the ledger has handled everything of it."""
        team, integration_id = await self.connected_team()
        await self.consumed("ledger", COSTS)
        return team, integration_id

    async def connect(self, team: Team, plan: str = "free") -> str:
        """Connect the team, and wait until its backfill is in Postgres; return the integration's ID."""
        integration_id = await self.add(team, plan)
        await self.backfilled(team, integration_id)
        return integration_id

    async def add(self, team: Team, plan: str = "free") -> str:
        answer = await self.request("POST", team.integrations, team.credentials() | {"plan": plan})
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return str(answer.json()["integration_id"])

    async def remove(self, team: Team, integration_id: str, history: str = "keep") -> None:
        answer = await self.request("DELETE", f"{team.path(integration_id)}?history={history}")
        assert answer.status_code == httpx.codes.NO_CONTENT, answer.text

    async def backfilled(self, team: Team, integration_id: str) -> None:
        async def backfills() -> tuple[int, int]:
            card = await self.card(team, integration_id)
            return card["backfill"]["days_read"], card["backfill"]["days_expected"]

        await until(backfills, lambda got: got[0] == got[1] > 0)

    async def card(self, team: Team, integration_id: str) -> dict[str, Any]:
        return await self._get(team.path(integration_id))

    async def card_with(self, team: Team, integration_id: str, status: str) -> dict[str, Any]:
        """The card, as soon as it has the status."""
        return await until(lambda: self.card(team, integration_id), lambda card: card["status"] == status)

    async def force(self, team: Team, integration_id: str, **body: Any) -> dict[str, Any]:
        """Force Sync, and wait until it has ended; return its row of the history."""
        return await self.ended(team, integration_id, await self.request_sync(team, integration_id, **body))

    async def force_until_refused(self, team: Team, integration_id: str) -> dict[str, Any]:
        """The same, where xAI refuses the key."""
        request_id = await self.request_sync(team, integration_id)
        await self.pass_first_refusal(integration_id)
        return await self.ended(team, integration_id, request_id)

    async def pass_first_refusal(self, integration_id: str) -> None:
        """Once xAI has refused a key that worked: the minute after which it is asked again is over."""
        await self.row_is_there(
            """WITH first AS (
                   UPDATE syncer.integrations SET refused_once_at = refused_once_at - interval '1 minute'
                   WHERE integration_id = %s AND refused_once_at IS NOT NULL RETURNING integration_id)
               UPDATE syncer.windows w SET due_at = clock_timestamp() FROM first
               WHERE w.integration_id = first.integration_id AND w.closed_at IS NULL RETURNING 1""",
            integration_id,
        )

    async def request_sync(self, team: Team, integration_id: str, **body: Any) -> str:
        """Force Sync; return the request's ID."""
        answer = await self.request("POST", f"{team.path(integration_id)}/sync", body)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return str(answer.json()["request_id"])

    async def syncs(self, team: Team, integration_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self._get(f"{team.path(integration_id)}/syncs"))["syncs"]
        return found

    async def _get(self, path: str) -> dict[str, Any]:
        answer = await self.request("GET", path)
        assert answer.status_code == httpx.codes.OK, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def ended(self, team: Team, integration_id: str, request_id: str) -> dict[str, Any]:
        """The final outcome of a request."""

        async def outcome() -> dict[str, Any] | None:
            found = [one for one in await self.syncs(team, integration_id) if request_id in one["request_ids"]]
            return next((one for one in found if one["final"] or one["code"] is None), None)

        return await until(outcome)

    async def costs(self, team: Team, first: date, last: date, **query: str) -> list[dict[str, Any]]:
        """The days as the ledger's API shows them."""
        url = f"{self.address.ledger_url}/v1/accounts/{team.account_id}/costs"
        answer = await self.http.get(url, params={"from": str(first), "to": str(last), **query})
        assert answer.status_code == httpx.codes.OK, answer.text
        days: list[dict[str, Any]] = answer.json()["days"]
        return days

    async def shown(self, team: Team, first: date, last: date) -> dict[date, dict[str, Decimal]]:
        """The figures of the ledger's API in the form of `served`."""
        return {
            date.fromisoformat(day["day"]): {one["label"]: Decimal(one["usd"]) for one in day["models"]}
            for day in await self.costs(team, first, last)
        }

    # tables

    @property
    def dsn(self) -> str:
        """The database's URL as its owner, for psycopg."""
        return psycopg_url(self.address.database_url)

    async def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        cursor = await self._database.execute(query.encode(), values)
        return await cursor.fetchall()

    async def row_is_there(self, query: str, *values: Any) -> tuple[Any, ...]:
        """The first row, as soon as there is one."""
        rows: list[tuple[Any, ...]] = await until(lambda: self.rows(query, *values))
        return rows[0]

    async def no_row_is_left(self, query: str, *values: Any) -> None:
        await until(lambda: self.rows(query, *values), lambda rows: not rows)

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """A transaction of the database's owner."""
        async with await psycopg.AsyncConnection.connect(self.dsn) as connection:
            yield connection

    @asynccontextmanager
    async def locked(self, table: str) -> AsyncIterator[None]:
        """Nobody else can write to the table meanwhile."""
        async with self.owner() as connection:
            await connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE".encode())
            yield
            await connection.rollback()

    async def reconnect(self) -> None:
        """Connect to the database once its new process answers."""
        await self._database.close()

        async def connect() -> psycopg.AsyncConnection[Any] | None:
            with suppress(psycopg.OperationalError):
                return await psycopg.AsyncConnection.connect(self.dsn, autocommit=True)
            return None

        self._database = await until(connect)
        self._stack.push_async_callback(self._database.close)
