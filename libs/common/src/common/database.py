"""Postgres: one engine a service, with limits, so that a stuck statement does not stop the service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import psycopg
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

LIMITS_MS = {
    "statement_timeout": 15_000,
    "lock_timeout": 10_000,
    "idle_in_transaction_session_timeout": 30_000,
}
"""Of every session of a service; migrations set them on its role too, for other clients that log in with it."""


def make_engine(url: SecretStr, *, schema: str, pool_size: int = 5) -> AsyncEngine:
    """An engine with `schema` as the search path. Errors never print parameters of statements."""
    settings = {"search_path": schema, "timezone": "UTC"} | LIMITS_MS
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return create_async_engine(
        url.get_secret_value(),
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=10,
        pool_pre_ping=True,
        connect_args={
            "application_name": f"grafient-{schema}",
            "connect_timeout": 5,
            "options": options,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        },
    )


class Database:
    """Opens transactions: handlers and routes own them, stores work inside."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits when the block ends and rolls back when it raises."""
        async with self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def listening(self, channel: str) -> AsyncIterator[psycopg.AsyncConnection]:
        """A connection of its own that listens on `channel`, a constant; it is closed at the end."""
        async with self._engine.connect() as connection:
            driver = cast("psycopg.AsyncConnection", (await connection.get_raw_connection()).driver_connection)
            try:
                await driver.set_autocommit(True)
                await driver.execute(b"LISTEN " + channel.encode())
                yield driver
            finally:
                await connection.invalidate()

    async def ping(self) -> None:
        """Raises when the database does not answer."""
        async with self.transaction() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self._engine.dispose()
