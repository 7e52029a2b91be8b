"""The connector on a real database, between a scripted xAI and a broker that is a list."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
from common.crypto.keyring import Keyring
from common.crypto.sealing import Opener, Sealer
from common.database import Database
from common.errors import TransientError
from common.http.app import make_app
from common.http.gate import guard
from common.http.tokens import SCOPES, Tokens, digest_of
from common.rate_limits import Limiter, Rate
from common.watchdog import Watchdog
from connector.api import Routes
from connector.connection_check import ConnectionTest
from connector.handlers import Handlers
from connector.integrations import Life
from connector.outbox.relay import Relay
from contract.cloudevents import Event
from contract.fields import Trigger
from contract.messages import Message, SyncCompleted, SyncFailed
from contract.problems import Code
from contract.topics import Topic
from fastapi import FastAPI
from sqlalchemy import text
from xai_usage import client

ACCOUNT = "account-1"
TEAM = "3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f"
KEY = "obviously-fake-management-key"
TOKEN = "obviously-fake-token"  # noqa: S105 - of a test
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEYRING = Keyring("test-1", {"test-1": bytes(32)})


@dataclass(frozen=True, slots=True)
class Published:
    topic: str
    message: Any
    key: str
    event_id: str
    headers: dict[str, str]
    at: datetime | None = None


class RecordingPublisher:
    def __init__(self) -> None:
        self.published: list[Published] = []
        self.away = False

    async def publish(self, topic: Topic, message: Message, *, key: str, event_id: str, at: datetime) -> None:
        assert at.tzinfo is not None
        self._put(Published(topic.name, message, key, event_id, {}, at))

    async def send(
        self, topic: Topic, body: bytes | None, *, key: bytes, headers: dict[str, str], partition: int | None = None
    ) -> None:
        self._put(Published(topic.name, body, key.decode(), f"partition {partition}", headers))

    def _put(self, one: Published) -> None:
        if self.away:
            raise TransientError("the broker is away")
        self.published.append(one)

    def of(self, topic: str) -> list[Published]:
        return [one for one in self.published if one.topic == topic]


class World:
    def __init__(self, database: Database, owner: Database, *, tests_per_minute: int = 1000) -> None:
        self.database = database
        self._owner = owner
        self._tests = Limiter(Rate(tests_per_minute, 60), "Too many connections were tested.")
        self.publisher = RecordingPublisher()
        self.status, self.body = 200, "{}"
        self.headers: dict[str, str] = {}
        self.asked: list[httpx.Request] = []
        self.opener = Opener(KEYRING, "test")
        self.relay = self.make_relay()
        self.handlers = Handlers(database, lambda: None)
        self.app = self._app()
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url=f"http://connector/v1/accounts/{ACCOUNT}",
            headers={"Authorization": f"Bearer {TOKEN}"},
        )

    def make_relay(self) -> Relay:
        return Relay(self.database, self.publisher, Watchdog())  # type: ignore[arg-type]  # it speaks the same

    def _app(self) -> FastAPI:
        @asynccontextmanager
        async def nothing(_app: FastAPI) -> AsyncIterator[None]:
            yield

        test = ConnectionTest(client("https://xai.test", transport=httpx.MockTransport(self._answer)), lambda: NOW)
        life = Life(self.database, test, Sealer(KEYRING, "test"), lambda: None)
        app = make_app("connector", Watchdog(), nothing, self.database.ping)
        token = {"token_id": "test", "sha256": digest_of(TOKEN), "scopes": SCOPES}
        guard(app, Tokens.model_validate({"tokens": [token]}), requests_per_second=10_000)
        routes = Routes(self.database, self.publisher, test, life, self._tests, clock=lambda: NOW)  # type: ignore[arg-type]  # it speaks the same
        app.include_router(routes.router())
        return app

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)

        async def body() -> AsyncIterator[bytes]:
            yield self.body.encode()

        return httpx.Response(self.status, headers=self.headers, content=body())

    async def sql(self, statement: str, **values: object) -> list[Any]:
        """As the owner."""
        async with self._owner.transaction() as connection:
            result = await connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    async def add(self, **changes: Any) -> dict[str, Any]:
        body = {"team_id": TEAM, "management_key": KEY, "plan": "free"} | changes
        answer = await self.http.post("/integrations", json=body)
        assert answer.status_code == 201, answer.text
        card: dict[str, Any] = answer.json()
        return card

    async def card(self, integration_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/integrations/{integration_id}")
        assert answer.status_code == 200, answer.text
        card: dict[str, Any] = answer.json()
        return card

    async def completed(
        self,
        card: dict[str, Any],
        *,
        hours: float = 0,
        recorded_at: datetime | None = None,
        judgement: str = "",
        **changes: Any,
    ) -> str:
        """The ledger says that the whole backfill was read; answers the event's ID."""
        fields = {
            "account_id": ACCOUNT,
            "integration_id": UUID(card["integration_id"]),
            "first_day": date.fromisoformat(card["backfill"]["first_day"]),
            "last_day": date.fromisoformat(card["backfill"]["last_day"]),
            "trigger": Trigger.BACKFILL,
            "request_ids": ("request-1",),
            "reading_id": uuid4(),
            "observed_at": _after(card, hours),
            "credential_version": 1,
            "usd": Decimal("12.5"),
            "days_changed": 0,
            "reconciled": True,
        }
        message = SyncCompleted(**fields | changes)
        event = Event(message, f"{message.reading_id}:completed{judgement}", recorded_at or datetime.now(UTC))
        await self.handlers.sync_completed(event)
        return event.event_id

    async def failed(self, card: dict[str, Any], code: Code, *, hours: float = 0, **changes: Any) -> None:
        fields = {
            "account_id": ACCOUNT,
            "integration_id": UUID(card["integration_id"]),
            "trigger": Trigger.FORCE,
            "request_ids": ("request-1",),
            "code": code,
            "final": True,
            "attempts": 1,
            "credential_version": 1,
            "observed_at": _after(card, hours),
        }
        await self.handlers.sync_failed(Event(SyncFailed(**fields | changes), str(uuid4()), datetime.now(UTC)))


def _after(card: dict[str, Any], hours: float) -> datetime:
    """Readings follow the add by the database's clock."""
    return datetime.fromisoformat(card["added_at"]) + timedelta(hours=hours, seconds=1)


def later(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


def usage(**labels: str) -> str:
    """An answer of xAI: what each label cost on one day."""
    series = [
        {"group": [label], "dataPoints": [{"timestamp": "2026-11-19T00:00:00Z", "values": [float(usd)]}]}
        for label, usd in labels.items()
    ]
    return json.dumps({"timeSeries": series})
