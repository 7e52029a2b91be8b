"""The syncer's own tables on a real Postgres, empty for each test, used as the role that owns nothing."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from common import logs
from common.database import Database, make_engine
from common.migrations import migrate
from pydantic import SecretStr
from sqlalchemy import create_engine, make_url, text
from syncer import domain

from tests.syncer.support.syncer import SyncerHarness


@pytest.fixture(scope="session")
async def databases(postgres: str) -> AsyncIterator[tuple[Database, Database]]:
    """The syncer's way to its database, and its owner's."""
    logs.configure("syncer", "INFO")  # its tracebacks never have locals
    migrate(SecretStr(postgres), "syncer")
    _set_password(postgres)
    url = make_url(postgres).set(username="syncer", password="obviously-fake")  # noqa: S106 - of a database that is thrown away
    syncer = Database(make_engine(SecretStr(url.render_as_string(hide_password=False)), schema="syncer", pool_size=20))
    owner = Database(make_engine(SecretStr(postgres), schema="syncer"))
    yield syncer, owner
    await syncer.close()
    await owner.close()


def _set_password(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("ALTER ROLE syncer PASSWORD 'obviously-fake'"))
    engine.dispose()


@pytest.fixture
async def syncer(databases: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch) -> SyncerHarness:
    """A test ends the pause after a failed attempt; a slow machine that settles does not outlast it."""
    monkeypatch.setattr(domain, "FIRST_PAUSE", timedelta(minutes=1))
    syncer = SyncerHarness(*databases)
    await syncer.clear()
    return syncer
