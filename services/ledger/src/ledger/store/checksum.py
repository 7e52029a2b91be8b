"""A fingerprint of what the ledger holds."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_CHECKSUM = text("""
    SELECT days.*, revisions.*, outcomes.* FROM
    (SELECT count(*) AS days, coalesce(sum(usd), 0) AS usd, coalesce(sum(hashtextextended(concat_ws('|', integration_id,
        day, account_id, usd, labels_id, amounts, reading_id, extract(epoch FROM observed_at), extract(epoch FROM said_since)), 0)
        ::numeric), 0) AS checksum FROM days) days,
    (SELECT count(*) AS revisions FROM day_revisions) revisions,
    (SELECT count(*) AS windows, count(*) FILTER (WHERE reconciled) AS reconciled FROM outcomes) outcomes
""")


async def checksum(connection: AsyncConnection) -> dict[str, int | str]:
    """Counts, sums and a checksum of all days; the same for the same content, however it got there."""
    row = (await connection.execute(_CHECKSUM)).one()
    figures = row._mapping.items()  # noqa: SLF001 - a row's public mapping has this name
    return {name: value if isinstance(value, int) else str(value) for name, value in figures}
