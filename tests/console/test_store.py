"""A link that was used stays used, until it has expired anyway."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from console.store import UsedLinks
from sqlalchemy import text

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=15)


@pytest.fixture
async def owned(tables_of: Callable[[str], Any]) -> Any:
    owned = tables_of("console")
    async with owned.owner.transaction() as connection:
        await connection.execute(text("TRUNCATE used_links"))
    return owned


async def test_of_many_uses_at_once_one_is_the_first(owned: Any) -> None:
    links = UsedLinks(owned.service)
    uses = await asyncio.gather(*(links.use(b"1" * 32, LATER, forgotten=NOW) for _ in range(8)))
    assert sorted(uses) == [False] * 7 + [True]


async def test_what_has_expired_is_forgotten_with_the_next_use(owned: Any) -> None:
    links = UsedLinks(owned.service)
    await links.use(b"1" * 32, NOW, forgotten=NOW)
    await links.use(b"2" * 32, LATER, forgotten=NOW + timedelta(seconds=1))
    async with owned.owner.transaction() as connection:
        kept = (await connection.execute(text("SELECT sha256 FROM used_links"))).scalars().all()
    assert kept == [b"2" * 32]
