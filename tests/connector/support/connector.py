"""The connector on a real database, between a scripted xAI and a broker that is a list."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_OID, uuid4, uuid5

import httpx
from common.crypto.keyring import Keyring
from common.crypto.sealing import Opener, Sealer
from common.database import Database
from common.http.app import make_app
from common.http.gate import guard
from common.http.tokens import SCOPES, Tokens, digest_of
from common.rate_limits import Limiter, Rate
from common.watchdog import Watchdog
from connector.api import IntegrationRoutes
from connector.commands.api import CommandRoutes
from connector.connection_check import ConnectionTest
from connector.handlers import Handlers
from connector.integrations import Integrations
from connector.outbox.relay import Relay
from contract.cloudevents import Event
from contract.fields import Trigger
from contract.problems import Code
from contract.tracing import traceparent
from fastapi import FastAPI
from sqlalchemy import text
from xai_usage import client

from tests.support import messages
from tests.support.fakes import RecordingPublisher, no_lifespan
from tests.support.messages import ACCOUNT

TEAM = "3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f"
KEY = "obviously-fake-management-key"
TOKEN = "obviously-fake-token"  # noqa: S105 - of a test
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEYRING = Keyring("test-1", {"test-1": bytes(32)})
NEW_WRAP = "UPDATE integrations SET wrap_version = wrap_version + 1, sealed_at = clock_timestamp()"


class ConnectorHarness:
    """The HTTP API, the handlers and the relay; `status`, `body` and `headers` are xAI's next answers."""

    def __init__(self, database: Database, owner: Database, *, tests_per_minute: int = 1000) -> None:
        self.database = database
        self._owner = owner
        self.publisher = RecordingPublisher("connector")
        self.status, self.body = 200, "{}"
        self.headers: dict[str, str] = {}
        self.xai_requests: list[httpx.Request] = []
        self.opener = Opener(KEYRING, "test")
        self.relay = self.make_relay()
        self.handlers = Handlers(database, lambda: None)
        self.app = self._app(Limiter(Rate(tests_per_minute, 60), "Too many connections were tested."))
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url=f"http://connector/v1/accounts/{ACCOUNT}",
            headers={"Authorization": f"Bearer {TOKEN}"},
        )

    def make_relay(self, watchdog: Watchdog | None = None) -> Relay:
        return Relay(self.database, self.publisher, watchdog or Watchdog())

    def _app(self, tests: Limiter) -> FastAPI:
        test = ConnectionTest(client("https://xai.test", transport=httpx.MockTransport(self._answer)), lambda: NOW)
        integrations = Integrations(self.database, test, Sealer(KEYRING, "test"), lambda: None)
        app = make_app("connector", Watchdog(), no_lifespan, {"postgres": self.database.ping})
        token = {"token_id": "test", "sha256": digest_of(TOKEN), "scopes": SCOPES}
        guard(app, Tokens.model_validate({"tokens": [token]}), requests_per_second=10_000)
        routes = IntegrationRoutes(self.database, self.publisher, test, integrations, tests, clock=lambda: NOW)
        app.include_router(routes.router())
        app.include_router(CommandRoutes(self.database).router())
        return app

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.xai_requests.append(request)

        async def body() -> AsyncIterator[bytes]:
            yield self.body.encode()

        return httpx.Response(self.status, headers=self.headers, content=body())

    async def sql(self, statement: str, **values: object) -> list[Any]:
        """As the owner."""
        async with self._owner.transaction() as connection:
            result = await connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    async def call(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """The JSON of an answer that has the status."""
        answer = await self.http.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def add(self, **changes: Any) -> dict[str, Any]:
        """The card of a new integration."""
        body = {"team_id": TEAM, "management_key": KEY, "plan": "free"} | changes
        card: dict[str, Any] = await self.call("POST", "/integrations", body, status=201)
        return card

    async def card(self, card: dict[str, Any]) -> dict[str, Any]:
        """The integration's card now."""
        now: dict[str, Any] = await self.call("GET", path_of(card))
        return now

    async def health(self, card: dict[str, Any]) -> tuple[str, str | None]:
        """Status and code of the integration's card now."""
        now = await self.card(card)
        return now["status"], now["status_code"]

    async def remove(self, card: dict[str, Any], history: str = "keep") -> None:
        await self.call("DELETE", path_of(card, f"?history={history}"), status=204)

    async def completed(
        self,
        card: dict[str, Any],
        *,
        hours: float = 0,
        recorded_at: datetime | None = None,
        revision: str = "",
        **changes: Any,
    ) -> None:
        """The ledger confirms the whole backfill."""
        fields: dict[str, Any] = {
            "first_day": first_day(card),
            "last_day": last_day(card),
            "trigger": Trigger.BACKFILL,
            "observed_at": _after(card, hours),
            "usd": Decimal("12.5"),
        }
        message = messages.sync_completed(card["integration_id"], **fields | changes)
        event_id, at = f"{message.reading_id}:completed{revision}", recorded_at or datetime.now(UTC)
        event = Event(message, event_id, at, traceparent.get())
        await self.handlers.outcome(event)

    async def failed(
        self, card: dict[str, Any], code: Code, *, hours: float = 0, event_id: str = "", **changes: Any
    ) -> None:
        fields = {"observed_at": _after(card, hours)} | changes
        message = messages.sync_failed(card["integration_id"], code, **fields)
        await self.handlers.outcome(Event(message, event_id or str(uuid4()), datetime.now(UTC), traceparent.get()))


def _after(card: dict[str, Any], hours: float) -> datetime:
    """Readings are later than the add, by the database's clock."""
    return datetime.fromisoformat(card["added_at"]) + timedelta(hours=hours, seconds=1)


def team_of(name: object) -> str:
    """The Team ID of a team that has a name in a test."""
    return str(uuid5(NAMESPACE_OID, str(name)))


def path_of(card: dict[str, Any], more: str = "") -> str:
    return f"/integrations/{card['integration_id']}{more}"


def first_day(card: dict[str, Any]) -> date:
    """Of the backfill; the same below."""
    return date.fromisoformat(card["backfill"]["first_day"])


def last_day(card: dict[str, Any]) -> date:
    return date.fromisoformat(card["backfill"]["last_day"])


def usage(**labels: str) -> str:
    """An answer of xAI: what each label cost on one day."""
    series = [
        {"group": [label], "dataPoints": [{"timestamp": "2026-11-19T00:00:00Z", "values": [float(usd)]}]}
        for label, usd in labels.items()
    ]
    return json.dumps({"timeSeries": series})
