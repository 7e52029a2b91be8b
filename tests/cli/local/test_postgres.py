import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from grafient.local.errors import StartError
from grafient.local.postgres import Postgres

from tests.support.processes import runs
from tests.support.urls import psycopg_url
from tests.support.waiting import until


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Postgres]:
    """A durable one."""
    server = Postgres(tmp_path_factory.mktemp("durable") / "postgres")
    await server.start()
    yield server
    await server.stop()


async def _query(server: Postgres, query: str) -> list[str]:
    async with await psycopg.AsyncConnection.connect(psycopg_url(server.database_url), autocommit=True) as connection:
        found = await connection.execute(query.encode())
        return [str(row[0]) for row in await found.fetchall()] if found.description else []


def _pid(server: Postgres) -> int:
    assert server.process is not None
    return server.process.pid


async def test_it_is_postgres_18_and_listens_on_loopback_only(server: Postgres) -> None:
    assert (await _query(server, "SHOW server_version"))[0].startswith("18")
    assert await _query(server, "SHOW listen_addresses") == ["127.0.0.1"]
    assert server.database_url.startswith("postgresql+psycopg://postgres@127.0.0.1:")


async def test_what_was_committed_survives_a_kill_on_the_same_port(server: Postgres) -> None:
    await _query(server, "CREATE TABLE kept AS SELECT 'committed' AS word")
    url, pid = server.database_url, _pid(server)
    async with await psycopg.AsyncConnection.connect(psycopg_url(server.database_url), autocommit=True) as busy:
        sleeping = asyncio.create_task(busy.execute("SELECT pg_sleep(600)"))
        await until(sleeping.get_loop().is_running)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            await sleeping
        await server.start()

    assert server.database_url == url
    assert _pid(server) != pid
    assert await _query(server, "SELECT word FROM kept") == ["committed"]


async def test_one_beside_it_has_its_own_port_and_data(server: Postgres, tmp_path: Path) -> None:
    beside = Postgres(tmp_path / "postgres", durable=False)
    await beside.start()
    try:
        await _query(beside, "CREATE TABLE only_here ()")
        assert await _query(server, "SELECT to_regclass('only_here') IS NULL") == ["True"]
        assert await _query(server, "SHOW fsync") == ["on"]
        assert await _query(beside, "SHOW fsync") == ["off"]
        assert await _query(beside, "SHOW synchronous_commit") == ["on"]
    finally:
        await beside.stop()


async def test_it_leaves_no_process_and_no_shared_memory(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres", durable=False)
    await server.start()
    segment = (tmp_path / "postgres" / "postmaster.pid").read_text().splitlines()[6].split()[1]
    backends = [int(pid) for pid in await _query(server, "SELECT pid FROM pg_stat_activity")]
    assert segment in _segments()

    await server.stop()

    assert [pid for pid in (_pid(server), *backends) if runs(pid)] == []
    assert segment not in _segments()


async def test_a_server_with_a_folder_in_use_reports_why_it_does_not_start(server: Postgres) -> None:
    folder = Path((await _query(server, "SHOW data_directory"))[0])
    second = Postgres(folder)

    with pytest.raises(StartError, match=r"Postgres did not start:\n(.*\n)*.*lock file"):
        await second.start()
    assert await _query(server, "SELECT 1") == ["1"]


async def test_a_server_with_a_port_in_use_reports_why_it_does_not_start(server: Postgres, tmp_path: Path) -> None:
    second = Postgres(tmp_path / "postgres", port=server.port)

    with pytest.raises(StartError, match=r"Postgres did not start:\n(.*\n)*.*Address already in use"):
        await second.start()


def _segments() -> set[str]:
    return {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}
