"""The way of commands to a service's tables, with the operator's own role."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from common.database import Database, make_engine
from common.settings import DatabaseUrl, Settings, load
from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")


class DatabaseSettings(Settings):
    """Where the tables are."""

    database_url: DatabaseUrl


def in_transaction(service: str, act: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """What `act` answers, in one transaction on the tables of `service`."""

    async def run() -> T:
        database = Database(make_engine(load(DatabaseSettings).database_url, schema=service))
        try:
            async with database.transaction() as connection:
                return await act(connection)
        finally:
            await database.close()

    return asyncio.run(run())
