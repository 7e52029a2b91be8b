"""The ledger's reports over HTTP, on a real database."""

from collections.abc import AsyncIterator

import httpx
import pytest
from common.http.app import make_app
from common.http.gate import guard
from common.http.tokens import Tokens, digest_of
from common.watchdog import Watchdog
from fastapi import FastAPI
from ledger.api import Routes
from ledger.reports.api import ReportRoutes
from ledger.reports.export import Exports

from tests.ledger.support.ledger import NOON, LedgerHarness
from tests.support.fakes import no_lifespan

TOKEN = "obviously-fake-token"  # noqa: S105 - of a test


@pytest.fixture
def app(ledger: LedgerHarness) -> FastAPI:
    app = make_app("ledger", Watchdog(), no_lifespan, ledger.database.ping)
    token = {"token_id": "test", "sha256": digest_of(TOKEN), "scopes": ["costs:read"]}
    guard(app, Tokens.model_validate({"tokens": [token]}), requests_per_second=10_000)
    for routes in (Routes, ReportRoutes, Exports):
        app.include_router(routes(ledger.database, clock=lambda: NOON).router())
    return app


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://ledger", headers=headers
    ) as client:
        yield client
