"""The console's one table: links that were used. A login is rare, so each opens a connection of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import psycopg
from pydantic import SecretStr

_USE = """
    WITH gone AS (DELETE FROM console.used_links WHERE expires_at < %(forgotten)s)
    INSERT INTO console.used_links (sha256, expires_at) VALUES (%(sha256)s, %(expires_at)s)
    ON CONFLICT DO NOTHING RETURNING true
"""


class UsedLinks:
    """Each link once, whichever process it is used at. `url` is of SQLAlchemy's form, as all services have it."""

    def __init__(self, url: SecretStr) -> None:
        self._url = url

    async def use(self, sha256: bytes, expires_at: datetime, *, forgotten: datetime) -> bool:
        """Whether this is the first use; rows of links that expired before `forgotten` are deleted."""
        values = {"sha256": sha256, "expires_at": expires_at, "forgotten": forgotten}
        async with self._connected() as connection:
            return await (await connection.execute(_USE, values)).fetchone() is not None

    async def ping(self) -> None:
        """Raises when the database does not answer."""
        async with self._connected() as connection:
            await connection.execute("SELECT FROM console.used_links LIMIT 1")

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[psycopg.AsyncConnection]:
        address = self._url.get_secret_value().replace("postgresql+psycopg:", "postgresql:", 1)
        async with await psycopg.AsyncConnection.connect(
            address, connect_timeout=5, application_name="grafient-console", prepare_threshold=None
        ) as connection:
            yield connection
