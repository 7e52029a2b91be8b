"""The connector's HTTP API answers as its OpenAPI document says, whatever is asked of it."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from common.crypto.sealed_commands import SealingKey
from common.watchdog import Watchdog
from connector.events.stream import Live
from connector.events.subscribers import Audience
from connector.sealing_key import sealing_key_route
from fastapi import FastAPI
from grafient.documents.openapi import documents

from tests.connector.support.connector import TOKEN, World
from tests.support.contract import fire, let_wrong_tokens_come, served


@pytest.fixture
async def app(tables_of: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    let_wrong_tokens_come(monkeypatch)
    owned = tables_of("connector")
    world = World(owned.service, owned.owner, tests_per_minute=1_000_000)
    await world.sql("TRUNCATE accounts, integrations, syncs, account_events")
    audience = Audience(world.database, Watchdog())
    world.app.include_router(Live(world.database, audience, clock=lambda: datetime.now(UTC)).router())
    world.app.include_router(sealing_key_route(lambda: SealingKey("test-1", bytes(32)), "test"))
    return world.app


async def test_the_connector_answers_as_documented_whatever_is_asked(app: FastAPI, tmp_path: Path) -> None:
    async with served(app) as url:
        found, report = await fire(url, documents()["connector"], TOKEN, folder=tmp_path)

    assert found == 0, report
