"""Questioned days for operators: list them, and accept what xAI reports of them. Callers own the transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer.guard import Kind, usd_of
from syncer.questions import waits_for


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A day of which xAI reported less than before, or absurdly much."""

    integration_id: UUID
    account_id: str
    day: date
    kind: str
    """`less`, `model_gone`, or `absurd`."""
    known_usd: Decimal
    """What is shown."""
    answered_usd: Decimal
    """What xAI reported last."""
    asked_at: datetime
    """When it first reported so."""
    answered_at: datetime
    ask_again_at: datetime
    waits_for: str
    """`xai`, or `operator`: the day is so old that xAI may have forgotten it."""
    accepted: bool


_LIST = text("""
    SELECT q.*, i.account_id, k.ticks AS known, clock_timestamp() AS now
    FROM questions q JOIN integrations i USING (integration_id) LEFT JOIN known_days k USING (integration_id, day)
    WHERE CAST(:id AS uuid) IS NULL OR q.integration_id = :id
    ORDER BY i.account_id, q.integration_id, q.day
""")

_ACCEPT = text("""
    UPDATE questions SET accepted = true, ask_again_at = clock_timestamp()
    WHERE integration_id = :id AND day = ANY(:days) RETURNING day
""")


async def questions(connection: AsyncConnection, integration_id: UUID | None = None) -> list[OpenQuestion]:
    """The open questions, of all integrations or of one."""
    return [_open_question(row) for row in await connection.execute(_LIST, {"id": integration_id})]


async def accept(connection: AsyncConnection, integration_id: UUID, days: Sequence[date]) -> list[date]:
    """Publish these days as soon as xAI repeats its last answer; answers those with an open question."""
    return sorted((await connection.execute(_ACCEPT, {"id": integration_id, "days": list(days)})).scalars())


def _open_question(row: Row[tuple[object, ...]]) -> OpenQuestion:
    fields = {name: getattr(row, name) for name in OpenQuestion.__slots__ if hasattr(row, name)}
    amounts = {"known_usd": usd_of(row.known or {}), "answered_usd": usd_of(row.answer)}
    return OpenQuestion(**fields | amounts, waits_for=waits_for(Kind(row.kind), row.day, row.now))
