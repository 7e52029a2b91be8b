"""The ledger's own tables on a real Postgres, empty for each test, used as the role that owns nothing."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from common import logs
from common.http.app import make_app
from common.http.gate import guard
from common.http.tokens import Tokens, digest_of
from common.watchdog import Watchdog
from fastapi import FastAPI
from ledger.api import Routes
from ledger.history.api import HistoryRoutes
from ledger.reports.api import ReportRoutes
from ledger.reports.export import Exports

from tests.ledger.support.ledger import NOON, LedgerHarness
from tests.support.fakes import no_lifespan

TOKEN = "obviously-fake-token"  # noqa: S105 - of a test


@pytest.fixture(scope="session")
def owned(tables_of: Callable[[str], Any]) -> Any:
    logs.configure("ledger", "INFO")  # as in production: its tracebacks never have locals, and cost little
    return tables_of("ledger")


@pytest.fixture
async def ledger(owned: Any) -> LedgerHarness:
    ledger = LedgerHarness(owned.service, owned.owner)
    await ledger.clear()
    return ledger


@pytest.fixture
def team() -> UUID:
    return uuid4()


@pytest.fixture
def app(ledger: LedgerHarness) -> FastAPI:
    """The ledger's API at NOON."""
    app = make_app("ledger", Watchdog(), no_lifespan, {"postgres": ledger.database.ping})
    bound = {"token_id": "bound", "sha256": digest_of("bound"), "scopes": ["costs:read"], "account_ids": ["other"]}
    token = {"token_id": "test", "sha256": digest_of(TOKEN), "scopes": ["costs:read"]}
    guard(app, Tokens.model_validate({"tokens": [token, bound]}), requests_per_second=10_000)
    for routes in (Routes, ReportRoutes, HistoryRoutes, Exports):
        app.include_router(routes(ledger.database, clock=lambda: NOON).router())
    return app


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://ledger", headers=headers
    ) as client:
        yield client
