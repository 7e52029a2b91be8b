"""A link that was used stays used, until it has expired anyway."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from console.store import UsedLinks
from pydantic import SecretStr
from sqlalchemy import make_url, text

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
FAKE_PASSWORD = "obviously-fake"  # noqa: S105 - of a database that is thrown away
LATER = NOW + timedelta(minutes=15)


@pytest.fixture
async def owned(tables_of: Callable[[str], Any]) -> Any:
    owned = tables_of("console")
    async with owned.owner.transaction() as connection:
        await connection.execute(text("TRUNCATE used_links"))
    return owned


@pytest.fixture
def links(owned: Any, postgres: str) -> UsedLinks:
    """As the console may use them."""
    url = make_url(postgres).set(username="console", password=FAKE_PASSWORD)
    assert owned
    return UsedLinks(SecretStr(url.render_as_string(hide_password=False)))


async def test_of_many_uses_at_once_one_is_the_first(links: UsedLinks) -> None:
    uses = await asyncio.gather(*(links.use(b"1" * 32, LATER, forgotten=NOW) for _ in range(8)))
    assert sorted(uses) == [False] * 7 + [True]


async def test_what_has_expired_is_forgotten_with_the_next_use(owned: Any, links: UsedLinks) -> None:
    await links.use(b"1" * 32, NOW, forgotten=NOW)
    await links.use(b"2" * 32, LATER, forgotten=NOW + timedelta(seconds=1))
    async with owned.owner.transaction() as connection:
        kept = (await connection.execute(text("SELECT sha256 FROM used_links"))).scalars().all()
    assert kept == [b"2" * 32]


async def test_without_its_database_a_console_is_not_ready() -> None:
    with pytest.raises(psycopg.OperationalError):
        await UsedLinks(SecretStr("postgresql+psycopg://console@127.0.0.1:9/none")).ping()
