"""The connector's HTTP API answers every request as its OpenAPI document describes."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from common.crypto.sealed_commands import SealingKey
from common.watchdog import Watchdog
from connector.events.stream import EventRoutes
from connector.events.subscribers import Subscribers
from connector.sealing_key import SealingKeyRoutes
from fastapi import FastAPI
from grafient.documents.openapi import documents

from tests.connector.support.connector import TOKEN, ConnectorHarness
from tests.support.contract import allow_wrong_tokens, fire, served


@pytest.fixture
async def app(tables_of: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    allow_wrong_tokens(monkeypatch)
    owned = tables_of("connector")
    connector = ConnectorHarness(owned.service, owned.owner, tests_per_minute=1_000_000)
    await connector.sql("TRUNCATE accounts, integrations, syncs, account_events")
    subscribers = Subscribers(connector.database, Watchdog())
    connector.app.include_router(EventRoutes(connector.database, subscribers, clock=lambda: datetime.now(UTC)).router())
    connector.app.include_router(SealingKeyRoutes(lambda: SealingKey("test-1", bytes(32)), "test").router())
    return connector.app


async def test_the_connector_answers_every_request_as_documented(app: FastAPI, tmp_path: Path) -> None:
    async with served(app) as url:
        found, report = await fire(url, documents()["connector"], TOKEN, folder=tmp_path)

    assert found == 0, report
