"""Connections that are kept between statements, on Postgres itself."""

import asyncio
from contextlib import AsyncExitStack, suppress

import psycopg
import pytest
from common import direct_connections
from common.database import Database, make_engine
from common.direct_connections import DIRECT
from common.errors import is_transient
from pydantic import SecretStr
from sqlalchemy import text

from tests.support.waiting import until

SCHEMA = "pg_catalog"


async def test_a_direct_connection_is_kept_and_each_of_its_statements_is_a_transaction(postgres: str) -> None:
    database = Database(make_engine(SecretStr(postgres), schema=SCHEMA))
    found = []
    for _ in range(2):
        async with database.direct() as driver:
            cursor = await driver.execute("SELECT pg_backend_pid(), pg_current_xact_id()::text AS transaction")
            found.append(await cursor.fetchone())
            cursor = await driver.execute("SELECT current_setting('search_path') AS path")
            assert await cursor.fetchone() == {"path": SCHEMA}

    first, second = (row for row in found if row)
    assert first["pg_backend_pid"] == second["pg_backend_pid"]
    assert first["transaction"] != second["transaction"]
    await database.close()


async def test_a_direct_connection_that_broke_or_was_left_in_work_is_replaced(postgres: str) -> None:
    database = Database(make_engine(SecretStr(postgres), schema=SCHEMA))
    first = await _pid(database)
    async with database.transaction() as connection:
        ended = "SELECT pg_terminate_backend(:pid, 5000)"
        assert (await connection.execute(text(ended), {"pid": first})).scalar_one()
    second = await _pid(database)
    with suppress(psycopg.errors.DivisionByZero):
        async with database.direct() as driver:
            await driver.execute("BEGIN")
            await driver.execute("SELECT 1 / 0")
    third = await _pid(database)
    with suppress(asyncio.CancelledError):
        async with database.direct():
            raise asyncio.CancelledError
    fourth = await _pid(database)

    assert len({first, second, third, fourth}) == 4
    await database.close()


async def test_a_direct_connection_that_is_at_rest_is_kept_whatever_failed(postgres: str) -> None:
    database = Database(make_engine(SecretStr(postgres), schema=SCHEMA))
    pids = {await _pid(database)}
    for failing in ("SELECT 1 / 0", "SELECT 1"):
        with suppress(psycopg.errors.DivisionByZero, LookupError):
            async with database.direct() as driver, driver.pipeline():
                await (await driver.execute(failing)).fetchall()
                raise LookupError
        pids.add(await _pid(database))

    assert len(pids) == 1
    await database.close()


async def test_a_process_that_is_held_up_in_a_pipeline_keeps_its_locks_for_a_limited_time(postgres: str) -> None:
    database = Database(make_engine(SecretStr(postgres), schema=SCHEMA))
    async with database.direct() as driver:
        limit = await (await driver.execute("SELECT current_setting('transaction_timeout') AS lasts")).fetchone()
        await driver.execute("SET transaction_timeout = '1ms'")
    pid = await _pid(database)
    with pytest.raises(psycopg.Error) as ended:  # noqa: PT012 - while it is open, it is ended
        async with database.pipeline() as pipeline:
            await (await pipeline.execute("SELECT 1")).fetchall()
            await until(lambda: _is_ended(database, pid))
            await (await pipeline.execute("SELECT 1")).fetchall()

    assert limit == {"lasts": "30s"}
    assert is_transient(ended.value)
    await database.close()


async def test_a_direct_connection_is_not_waited_for_without_end(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct_connections, "POOL_TIMEOUT", 0.01)
    database = Database(make_engine(SecretStr(postgres), schema=SCHEMA, pool_size=1 + DIRECT))
    async with AsyncExitStack() as used:
        for _ in range(DIRECT):
            await used.enter_async_context(database.direct())
        with pytest.raises(TimeoutError):
            await _pid(database)

    assert await _pid(database)
    await database.close()


async def test_direct_connections_are_few_however_many_statements_there_are(postgres: str) -> None:
    database = Database(make_engine(SecretStr(postgres), schema=SCHEMA, pool_size=1 + DIRECT))

    pids = await asyncio.gather(*(_pid(database) for _ in range(50)))

    assert len(set(pids)) <= DIRECT
    await database.close()


async def _is_ended(database: Database, pid: int) -> bool:
    async with database.transaction() as connection:
        found = await connection.execute(text("SELECT FROM pg_stat_activity WHERE pid = :pid"), {"pid": pid})
        return not found.all()


async def _pid(database: Database) -> int:
    async with database.direct() as driver:
        row = await (await driver.execute("SELECT pg_backend_pid() AS pid")).fetchone()
    assert row is not None
    pid: int = row["pid"]
    return pid
