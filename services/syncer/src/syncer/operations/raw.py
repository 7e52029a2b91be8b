"""The provider's answers behind a reading, as they came. Callers own the transaction."""

import hashlib
import zlib
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from common.errors import UsageError, UserError
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

_PARTS = text("SELECT * FROM raw_answers WHERE reading_id = :id ORDER BY part")


@dataclass(frozen=True, slots=True)
class Part:
    """One answer, and the days of its question, both included."""

    integration_id: UUID
    observed_at: datetime
    first_day: date
    last_day: date
    sha256: str
    """In hexadecimal; of `body`, which was checked."""
    body: bytes


async def parts_of(connection: AsyncConnection, reading_id: UUID) -> list[Part]:
    """The answers of a reading, oldest days first; raises UsageError where there are none, and UserError where one is damaged."""
    parts = [_part(row) for row in await connection.execute(_PARTS, {"id": reading_id})]
    if not parts:
        raise UsageError(
            f"no answer of reading {reading_id} is stored",
            "answers are kept for 90 days, and deleted with an integration that is erased",
        )
    return parts


def _part(row: Row[tuple[object, ...]]) -> Part:
    try:
        body = zlib.decompress(row.body)
    except zlib.error:
        body = b""
    if hashlib.sha256(body).digest() != row.sha256:
        raise UserError(f"part {row.part} of reading {row.reading_id} is damaged", "its SHA-256 is not the stored one")
    return Part(row.integration_id, row.observed_at, row.first_day, row.last_day, row.sha256.hex(), body)
