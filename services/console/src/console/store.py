"""The console's one table: links that were used."""

from datetime import datetime

from common.database import Database
from sqlalchemy import text

_USE = text("""
    WITH gone AS (DELETE FROM used_links WHERE expires_at < :forgotten)
    INSERT INTO used_links (sha256, expires_at) VALUES (:sha256, :expires_at) ON CONFLICT DO NOTHING RETURNING true
""")


class UsedLinks:
    """Each link once, whichever process it is used at."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def use(self, sha256: bytes, expires_at: datetime, *, forgotten: datetime) -> bool:
        """Whether this is the first use; rows of links that expired before `forgotten` are deleted."""
        values = {"sha256": sha256, "expires_at": expires_at, "forgotten": forgotten}
        async with self._database.transaction() as connection:
            return bool((await connection.execute(_USE, values)).scalar())
