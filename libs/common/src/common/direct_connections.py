"""Connections without a transaction, which are kept: a statement on one is a transaction of its own."""

import asyncio
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

DIRECT = 6
"""At most: each is in use for milliseconds."""
POOL_TIMEOUT = 10
"""Seconds for which a connection is waited for while all are in use."""

# Statements on them are few, and each finds its rows by an index, whatever its values are: to plan some of them again and
# again took longer than to execute them. A plan of an empty table would read all of it, and could be kept for a minute.
# To Postgres a pipeline that waits for its client is at work, and the limit of idle transactions does not end it.
# Before Postgres 18 what is turned off counts as immensely expensive, and what is expensive is compiled before it runs.
_SESSION = """
    SELECT set_config(name, value, false) FROM (VALUES ('plan_cache_mode', 'force_generic_plan'), ('enable_seqscan', 'off'),
        ('jit', 'off'), ('transaction_timeout', '30s')) setting(name, value)
"""

Driver = psycopg.AsyncConnection[dict[str, Any]]
"""A connection of psycopg's own, whose rows are mappings; parameters are `%(name)s`."""


@dataclass(frozen=True, slots=True)
class _Direct:
    connection: AsyncConnection
    driver: Driver

    @property
    def is_at_rest(self) -> bool:
        """No statement runs, and no transaction is open."""
        return self.driver.info.transaction_status is TransactionStatus.IDLE


class DirectConnections:
    """They are of `engine`, whose pool has as many fewer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._places = asyncio.Semaphore(DIRECT)
        self._idle: list[_Direct] = []

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[Driver]:
        """One of them, for the block alone; raises TimeoutError where none is free in time."""
        async with asyncio.timeout(POOL_TIMEOUT):
            await self._places.acquire()
        try:
            direct = await self._idle_one() or await self._connect()
            try:
                yield direct.driver
            except BaseException as error:
                if isinstance(error, Exception) and direct.is_at_rest:
                    self._idle.append(direct)
                else:
                    await _discard(direct)
                raise
            self._idle.append(direct)
        finally:
            self._places.release()

    async def close(self) -> None:
        while self._idle:
            await _discard(self._idle.pop())

    async def _idle_one(self) -> _Direct | None:
        while self._idle:
            direct = self._idle.pop()
            if is_usable(direct.driver):
                return direct
            await _discard(direct)
        return None

    async def _connect(self) -> _Direct:
        connection = await self._engine.connect()
        try:
            driver = cast("Driver", await driver_of(connection))
            await driver.set_autocommit(True)
            await driver.execute(_SESSION)
            driver.row_factory = dict_row
        except BaseException:
            await connection.invalidate()
            raise
        return _Direct(connection, driver)


async def driver_of(connection: AsyncConnection) -> psycopg.AsyncConnection:
    """Psycopg's own connection, for what SQLAlchemy does not have."""
    return cast("psycopg.AsyncConnection", (await connection.get_raw_connection()).driver_connection)


def is_usable(driver: psycopg.AsyncConnection[Any]) -> bool:
    """A server sends nothing unasked, except that it closes the connection."""
    if driver.closed:
        return False
    poll = select.poll()  # `select` takes no file numbers over 1023
    poll.register(driver.fileno(), select.POLLIN)
    return not poll.poll(0)


async def _discard(direct: _Direct) -> None:
    """Close the connection, and give back its place in the pool."""
    await direct.connection.invalidate()
    await direct.connection.close()
