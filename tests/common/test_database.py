"""A service's own sessions, on Postgres itself and behind a pooler."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from common.database import LIMITS_MS, Database, SharedSessionsError, make_engine
from grafient.local.processes import free_ports
from pydantic import SecretStr
from sqlalchemy import make_url, text

SCHEMA = "pg_catalog"
DEADLINE = 20.0
PGBOUNCER = shutil.which("pgbouncer", path="/usr/local/bin:/usr/bin:/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="there is no pgbouncer: apt-get install pgbouncer")
CONFIGURATION = """
[databases]
{name} = host={host} port={port} dbname={name} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 20
ignore_startup_parameters = {ignored}
"""


@asynccontextmanager
async def pooled(
    postgres: str, folder: Path, mode: str, ignored: str = "extra_float_digits"
) -> AsyncIterator[Database]:
    """The database behind a PgBouncer."""
    url, (port,) = make_url(postgres), free_ports(1)
    names = {"host": url.host, "port": url.port, "name": url.database, "user": url.username, "password": url.password}
    path = folder / "pgbouncer.ini"
    path.write_text(CONFIGURATION.format(**names, listen=port, mode=mode, ignored=ignored))
    folder.chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        str(PGBOUNCER), "-u", "nobody", str(path), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await _listening(port)
        behind = url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        database = Database(make_engine(SecretStr(behind), schema=SCHEMA))
        yield database
        await database.close()
    finally:
        process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return


async def _settings(database: Database) -> dict[str, str]:
    names = ["search_path", "TimeZone", *LIMITS_MS]
    async with database.transaction() as connection:
        return {
            name: (await connection.execute(text("SELECT current_setting(:name)"), {"name": name})).scalar_one()
            for name in names
        }


EXPECTED = {
    "search_path": SCHEMA,
    "TimeZone": "UTC",
    "statement_timeout": "15s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "30s",
}


async def test_a_session_has_its_settings(postgres: str) -> None:
    database = Database(make_engine(SecretStr(postgres), schema=SCHEMA))

    assert await _settings(database) == EXPECTED
    await database.close()


async def test_the_statements_of_a_pipeline_are_one_transaction_and_the_first_error_is_the_one_that_is_raised(
    postgres: str,
) -> None:
    database = Database(make_engine(SecretStr(postgres), schema=SCHEMA))
    async with database.pipeline() as pipeline:
        cursors = [await pipeline.execute("SELECT pg_current_xact_id()::text AS transaction") for _ in range(2)]
        first, second = [await cursor.fetchone() for cursor in cursors]
    with pytest.raises(psycopg.errors.DivisionByZero):
        await _fail_in_a_pipeline(database)
    async with database.pipeline() as pipeline:
        marked = await (await pipeline.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'")).fetchall()

    assert first == second
    assert marked == []
    await database.close()


async def _fail_in_a_pipeline(database: Database) -> None:
    async with database.pipeline() as pipeline:
        for statement in ("SELECT pg_advisory_xact_lock(1)", "SELECT 1 / 0", "SELECT 1"):
            await pipeline.execute(statement)


@pytest.mark.parametrize(
    ("statement", "raised"),
    [
        ("SELECT 1 / 0", psycopg.errors.DivisionByZero),
        ("INSERT INTO public.written VALUES (1)", psycopg.errors.UniqueViolation),
        ("SELECT 1", LookupError),
        ("SELECT 1", asyncio.CancelledError),
    ],
    ids=["a statement", "the commit", "the caller", "cancelled"],
)
async def test_of_a_pipeline_that_fails_nothing_is_stored(
    postgres: str, statement: LiteralString, raised: type[BaseException]
) -> None:
    database = Database(make_engine(SecretStr(postgres), schema=SCHEMA))
    async with database.direct() as driver:
        await driver.execute("CREATE TABLE public.written (number int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        first = driver.info.backend_pid
    with pytest.raises(raised):
        await _write(database, statement, None if issubclass(raised, psycopg.Error) else raised())
    async with database.direct() as driver:
        left = await (await driver.execute("SELECT number FROM public.written")).fetchall()
        await driver.execute("DROP TABLE public.written")
        is_kept = driver.info.backend_pid == first

    assert left == []
    assert is_kept is (raised is not asyncio.CancelledError)
    await database.close()


async def _write(database: Database, statement: LiteralString, error: BaseException | None) -> None:
    async with database.pipeline() as pipeline:
        await pipeline.execute("INSERT INTO public.written VALUES (1)")
        await pipeline.execute(statement)
        if error is not None:
            raise error


async def test_connections_of_a_busy_moment_are_kept_and_the_last_one_is_used_first(postgres: str) -> None:
    database = Database(make_engine(SecretStr(postgres), schema=SCHEMA, pool_size=8))

    async def pids_of(count: int) -> set[int]:
        async with AsyncExitStack() as used:
            connections = [await used.enter_async_context(database.transaction()) for _ in range(count)]
            return {(await one.execute(text("SELECT pg_backend_pid()"))).scalar_one() for one in connections}

    busy = await pids_of(8)

    assert await pids_of(8) == busy
    assert len({tuple(await pids_of(1)) for _ in range(8)}) == 1
    await database.close()


async def test_connections_that_the_server_closed_while_they_idled_are_replaced_unseen(postgres: str) -> None:
    database = Database(make_engine(SecretStr(postgres), schema=SCHEMA))
    async with database.transaction() as one, database.transaction() as other:
        numbers = [(await each.execute(text("SELECT pg_backend_pid()"))).scalar_one() for each in (one, other)]
    async with await psycopg.AsyncConnection.connect(postgres.replace("+psycopg", ""), autocommit=True) as owner:
        await owner.execute("SELECT pg_terminate_backend(number, 5000) FROM unnest(%s) number", [numbers])

    async with database.transaction() as one, database.transaction() as other:
        for each in (one, other):
            assert (await each.execute(text("SELECT pg_backend_pid()"))).scalar_one() not in numbers
    await database.close()


@needs_pgbouncer
@pytest.mark.parametrize("ignored", ["extra_float_digits", "extra_float_digits, options"])
async def test_a_pooler_in_session_mode_changes_nothing(postgres: str, tmp_path: Path, ignored: str) -> None:
    async with pooled(postgres, tmp_path, "session", ignored) as database:
        assert await asyncio.gather(*(_settings(database) for _ in range(8))) == [EXPECTED] * 8

        async with database.listening("a_channel") as connection:
            async with database.transaction() as other:
                await other.execute(text("SELECT pg_notify('a_channel', 'arrived')"))
            async for notification in connection.notifies(timeout=DEADLINE, stop_after=1):
                assert notification.payload == "arrived"


@needs_pgbouncer
async def test_a_pooler_in_transaction_mode_is_refused_in_a_sentence(postgres: str, tmp_path: Path) -> None:
    async with pooled(postgres, tmp_path, "transaction") as database:
        for _ in range(2):
            with pytest.raises(SharedSessionsError, match=r"transaction mode.* use its session mode"):
                await database.ping()
