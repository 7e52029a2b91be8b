"""A service's tables, opened with the operator's own role."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from common.database import Database, make_engine
from common.settings import DatabaseUrl, Settings, load
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")


class DatabaseSettings(Settings):
    """Where the tables are."""

    database_url: DatabaseUrl


@asynccontextmanager
async def tables_of(service: str, url: SecretStr) -> AsyncIterator[Database]:
    """The tables of `service`, until the end of the block."""
    database = Database(make_engine(url, schema=service))
    try:
        yield database
    finally:
        await database.close()


def in_transaction(service: str, act: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """The result of `act`, in one transaction on the tables of `service`."""

    async def run() -> T:
        url = load(DatabaseSettings).database_url
        async with tables_of(service, url) as database, database.transaction() as connection:
            return await act(connection)

    return asyncio.run(run())
