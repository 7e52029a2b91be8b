"""The ledger's HTTP API answers every request as its OpenAPI document describes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from common.http.app import make_app
from common.http.gate import guard
from common.http.tokens import Tokens, digest_of
from common.watchdog import Watchdog
from fastapi import FastAPI
from grafient.documents.openapi import documents
from ledger.api import Routes
from ledger.history.api import HistoryRoutes
from ledger.reports.api import ReportRoutes
from ledger.reports.export import Exports

from tests.ledger.support.ledger import FIRST, NOON, LedgerHarness, later, reading_of
from tests.support.contract import allow_wrong_tokens, fire, served
from tests.support.fakes import no_lifespan

TOKEN = "obviously-fake-token"  # noqa: S105 - of a test
EXAMPLE = "acme"
"""The account of the document's examples; it has costs."""


@pytest.fixture
async def app(tables_of: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    allow_wrong_tokens(monkeypatch)
    owned = tables_of("ledger")
    ledger = LedgerHarness(owned.service, owned.owner)
    await ledger.clear()
    await ledger.add(team := uuid4(), account_id=EXAMPLE)
    for usd, hours in (("1", -1), ("1.10", 0)):
        reading = reading_of(team, {FIRST: {"grok-4": usd, "grok-5": "0.0000001"}}, observed_at=later(hours))
        await ledger.receive(*(one.model_copy(update={"account_id": EXAMPLE}) for one in reading.messages))
    app = make_app("ledger", Watchdog(), no_lifespan, {"postgres": ledger.database.ping})
    token = {"token_id": "test", "sha256": digest_of(TOKEN), "scopes": ["costs:read"]}
    guard(app, Tokens.model_validate({"tokens": [token]}), requests_per_second=1_000_000)
    for routes in (Routes, ReportRoutes, HistoryRoutes, Exports):
        app.include_router(routes(ledger.database, clock=lambda: NOON).router())
    return app


async def test_the_ledger_answers_every_request_as_documented(app: FastAPI, tmp_path: Path) -> None:
    async with served(app) as url:
        found, report = await fire(url, documents()["ledger"], TOKEN, folder=tmp_path)

    assert found == 0, report
