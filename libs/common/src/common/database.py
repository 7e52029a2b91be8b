"""The way to Postgres: one engine a service, with the limits that keep a stuck statement from stopping the flow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import psycopg
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

STATEMENT_TIMEOUT_MS = 15_000
LOCK_TIMEOUT_MS = 10_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 30_000


def make_engine(url: SecretStr, *, schema: str, pool_size: int = 5) -> AsyncEngine:
    """An engine whose connections see `schema` only. Errors never print statements' parameters."""
    options = (
        f"-c search_path={schema} -c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS}"
        f" -c lock_timeout={LOCK_TIMEOUT_MS}"
        f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_TIMEOUT_MS}"
    )
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
    """Opens transactions: the edges own them, stores work inside."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits when the block ends and rolls back when it raises."""
        async with self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def listening(self, channel: str) -> AsyncIterator[psycopg.AsyncConnection]:
        """A connection that hears `channel`, a constant; it is closed at the end, and serves nobody else."""
        async with self._engine.connect() as connection:
            heard = cast("psycopg.AsyncConnection", (await connection.get_raw_connection()).driver_connection)
            try:
                await heard.set_autocommit(True)
                await heard.execute(b"LISTEN " + channel.encode())
                yield heard
            finally:
                await connection.invalidate()

    async def ping(self) -> None:
        """Raises when the database does not answer."""
        async with self.transaction() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self._engine.dispose()
