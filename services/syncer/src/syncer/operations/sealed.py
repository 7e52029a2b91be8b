"""What is sealed in the syncer's tables: credentials. Callers own the transaction."""

from collections.abc import Mapping
from uuid import UUID

from common.crypto.envelopes import Binding, Envelope
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

BATCH = 1000

_KEY_IDS = text(
    "SELECT envelope ->> 'key_id' AS key_id, count(*) AS number FROM credentials WHERE envelope IS NOT NULL GROUP BY 1"
)
_CREDENTIALS = text(f"""
    SELECT integration_id, account_id, credential_version, envelope FROM credentials
    WHERE envelope IS NOT NULL AND integration_id > :after ORDER BY integration_id LIMIT {BATCH}
""")  # noqa: S608 - only a constant is put in


async def count_by_key(connection: AsyncConnection) -> Mapping[str | None, int]:
    """Credentials by the ID of the key that they are sealed under."""
    return {row.key_id: row.number for row in await connection.execute(_KEY_IDS)}


async def credentials_after(connection: AsyncConnection, integration_id: UUID) -> list[tuple[Binding, Envelope]]:
    """The next BATCH sealed credentials, by integration; empty at the end."""
    rows = await connection.execute(_CREDENTIALS, {"after": integration_id})
    return [(Binding(row.account_id, row.integration_id, row.credential_version), row.envelope) for row in rows]
