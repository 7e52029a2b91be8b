"""What is sealed in the connector's tables: credentials, and the keys in pending commands. Callers own the transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.crypto.envelopes import Binding, Envelope
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

BATCH = 1000

_KEY_IDS = text("""
    SELECT envelope ->> 'key_id' AS key_id, count(*) AS number FROM integrations WHERE envelope IS NOT NULL GROUP BY 1
""")
_CREDENTIALS = text(f"""
    SELECT integration_id, account_id, credential_version, envelope FROM integrations
    WHERE envelope IS NOT NULL AND integration_id > :after ORDER BY integration_id LIMIT {BATCH}
""")  # noqa: S608 - only a constant is put in
_PENDING = text("""
    SELECT account_id, command_id, body ->> 'sealed_key' AS sealed_key, CAST(body ->> 'expires_at' AS timestamptz) AS expires_at
    FROM commands WHERE done_at IS NULL AND body ->> 'sealed_key' IS NOT NULL
""")
_NOW = text("SELECT clock_timestamp()")


@dataclass(frozen=True, slots=True)
class PendingCommand:
    """A command with a sealed key that was taken from its topic and is not done."""

    account_id: str
    command_id: str
    sealed_key: str
    expires_at: datetime


async def count_by_key(connection: AsyncConnection) -> Mapping[str | None, int]:
    """Credentials by the ID of the key that they are sealed under."""
    return {row.key_id: row.number for row in await connection.execute(_KEY_IDS)}


async def credentials_after(connection: AsyncConnection, integration_id: UUID) -> list[tuple[Binding, Envelope]]:
    """The next BATCH sealed credentials, by integration; empty at the end."""
    rows = await connection.execute(_CREDENTIALS, {"after": integration_id})
    return [(Binding(row.account_id, row.integration_id, row.credential_version), row.envelope) for row in rows]


async def pending_commands(connection: AsyncConnection) -> tuple[list[PendingCommand], datetime]:
    """The pending commands that need a sealing key, and the time by the connector's clock."""
    rows = await connection.execute(_PENDING)
    return [PendingCommand(*row) for row in rows], (await connection.execute(_NOW)).scalar_one()
