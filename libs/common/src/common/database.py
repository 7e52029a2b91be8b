"""Postgres: one engine a service, with limits, so that a stuck statement does not stop the service."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, LiteralString, cast

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from pydantic import SecretStr
from sqlalchemy import event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import PoolProxiedConnection

from common.direct_connections import POOL_TIMEOUT, DirectConnections, Driver, driver_of, is_usable
from common.errors import UserError

LIMITS_MS = {
    "statement_timeout": 15_000,
    "lock_timeout": 10_000,
    "idle_in_transaction_session_timeout": 30_000,
}
"""Of every session of a service; migrations set them on its role too, for other clients that log in with it."""

Cursor = psycopg.AsyncCursor[dict[str, Any]]
"""The answer to a statement."""


class SharedSessionsError(UserError):
    """Between this process and Postgres is a pooler that gives one session to several clients."""

    def __init__(self) -> None:
        super().__init__(
            "DATABASE_URL leads to a pooler in transaction mode, which breaks settings, LISTEN and locks of a session",
            "use its session mode (pool_mode = session), or the address of Postgres itself",
        )


def make_engine(
    url: SecretStr, *, schema: str, pool_size: int = 10, session: Mapping[str, str] | None = None
) -> AsyncEngine:
    """An engine with `schema` as the search path. Errors never print parameters of statements.

    `pool_size`: connections at most; they are kept, and the one that was used last is used first. `session` holds further
    settings of each session, or others than LIMITS_MS.
    """
    engine = create_async_engine(
        url.get_secret_value(),
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=0,
        pool_use_lifo=True,
        pool_timeout=POOL_TIMEOUT,
        connect_args={
            "application_name": f"grafient-{schema}",
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        },
    )
    settings = {"search_path": schema, "timezone": "UTC"} | {name: str(value) for name, value in LIMITS_MS.items()}
    event.listen(engine.sync_engine, "connect", partial(_set_up, settings | dict(session or {})))
    event.listen(engine.sync_engine, "checkout", _ensure_usable)
    return engine


def _ensure_usable(connection: DBAPIConnection, _record: object, _proxy: object) -> None:
    """Instead of a statement that asks whether the connection works: the pool replaces it, and those that idled with it."""
    driver = cast("PoolProxiedConnection", connection).driver_connection
    if isinstance(driver, psycopg.AsyncConnection) and not is_usable(driver):
        raise InvalidatePoolError


def _set_up(settings: Mapping[str, str], connection: DBAPIConnection, _record: object) -> None:
    """By a statement: poolers refuse or drop the `options` with which a connection can begin."""
    cursor = connection.cursor()
    columns = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    cursor.execute(f"SELECT {columns}")
    cursor.close()
    connection.commit()


class Pipeline:
    """Executes statements without waiting for what they answer: an answer, or its error, is waited for when it is read."""

    def __init__(self, driver: psycopg.AsyncConnection[Any]) -> None:
        self._driver = driver

    async def execute(self, statement: LiteralString, values: Mapping[str, object] | None = None) -> Cursor:
        """What the statement answers, in rows that are mappings; parameters are `%(name)s`."""
        return await self._driver.cursor(row_factory=dict_row).execute(statement, values)


class Database:
    """Opens transactions: handlers and routes own them, stores work inside."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._checking = asyncio.Lock()
        self._has_own_sessions = False
        self._direct = DirectConnections(engine)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits when the block ends and rolls back when it raises.

        The first one raises SharedSessionsError where sessions are not the engine's own.
        """
        if not self._has_own_sessions:
            await self._check_sessions()
        async with self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def direct(self) -> AsyncIterator[Driver]:
        """A connection on which each statement is a transaction of its own: for a fifth of the CPU of `transaction`.

        Raises TimeoutError where none is free in time.
        """
        if not self._has_own_sessions:
            await self._check_sessions()
        async with self._direct.taken() as driver:
            yield driver

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[Pipeline]:
        """A transaction whose statements are sent at once; it commits when the block ends, and rolls back when it raises."""
        async with self.direct() as driver, _transaction_of(driver):
            yield Pipeline(driver)

    @asynccontextmanager
    async def listening(self, channel: str) -> AsyncIterator[psycopg.AsyncConnection]:
        """A connection of its own that listens on `channel`, a constant; it is closed at the end."""
        async with self._engine.connect() as connection:
            driver = await driver_of(connection)
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
        await self._direct.close()
        await self._engine.dispose()

    async def _check_sessions(self) -> None:
        """A pooler in transaction mode gives the second client the session that the first one has just used."""
        async with self._checking, self._engine.connect() as one, self._engine.connect() as other:
            first = await _session(one)
            await one.rollback()
            second = await _session(other)
            if first == second or first != await _session(one):
                raise SharedSessionsError
            self._has_own_sessions = True


@asynccontextmanager
async def _transaction_of(driver: Driver) -> AsyncIterator[None]:
    """Begin and end go with the statements: psycopg's own transaction is waited for three times.

    After a statement that failed Postgres passes over what was sent behind it, COMMIT included.
    """
    try:
        async with driver.pipeline():
            await driver.execute("BEGIN", prepare=False)
            yield
            await driver.execute("COMMIT", prepare=False)
    except BaseException:
        if driver.info.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
            await driver.rollback()
        raise


@asynccontextmanager
async def pipelined(connection: AsyncConnection) -> AsyncIterator[Pipeline]:
    """As `Database.pipeline`, within the transaction of `connection`."""
    driver = await driver_of(connection)
    async with driver.pipeline():
        yield Pipeline(driver)


async def _session(connection: AsyncConnection) -> int:
    """The server's process; the transaction stays open."""
    number: int = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    return number
