"""The history of syncs, and how much of a backfill it has brought. Callers own the transaction."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from common.messages import SyncCompleted, SyncFailed
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from connector.domain import covered
from connector.store import Integration


@dataclass(frozen=True, slots=True)
class Sync:
    """How a window ended, or why it waits."""

    trigger: str
    request_ids: list[str]
    first_day: date | None
    last_day: date | None
    usd: Decimal | None
    days_changed: int | None
    reconciled: bool | None
    code: str | None
    final: bool
    attempts: int
    next_attempt_at: datetime | None
    observed_at: datetime | None
    recorded_at: datetime


_NOTE = text("""
    INSERT INTO syncs (integration_id, event_id, account_id, trigger, request_ids, first_day, last_day, covered, usd,
        days_changed, reconciled, code, final, attempts, next_attempt_at, observed_at, recorded_at)
    SELECT :integration_id, :event_id, :account_id, :trigger, :request_ids, :first_day, :last_day,
        CAST(:covered AS datemultirange), :usd, :days_changed, :reconciled, :code, :final, :attempts, :next_attempt_at,
        :observed_at, :recorded_at
    WHERE EXISTS (SELECT 1 FROM integrations WHERE integration_id = :integration_id AND account_id = :account_id)
    ON CONFLICT (integration_id, event_id) DO NOTHING
""")

_SYNC_COLUMNS = """trigger, request_ids, first_day, last_day, usd, days_changed, reconciled, code, final, attempts,
    next_attempt_at, observed_at, recorded_at"""

_DAYS_READ = text("""
    SELECT coalesce(sum(upper(range) - lower(range)), 0) FROM (
        SELECT unnest(range_agg(covered) * datemultirange(daterange(:first, :last, '[]'))) AS range
        FROM syncs WHERE integration_id = :id AND recorded_at >= :since
    ) read
""")

KEPT_DAYS = 400


async def note_completed(
    connection: AsyncConnection, event_id: str, completed: SyncCompleted, recorded_at: datetime
) -> bool:
    """Keep the outcome; False where it is here already, or the integration is not the account's."""
    days = covered(completed.first_day, completed.last_day, completed.unreconciled_days)
    ranges = ",".join(f"[{first},{last}]" for first, last in days)
    return await _note(
        connection,
        event_id,
        recorded_at,
        completed,
        covered=f"{{{ranges}}}",
        usd=completed.usd,
        days_changed=completed.days_changed,
        reconciled=completed.reconciled,
        code=None,
        final=True,
        attempts=0,
        next_attempt_at=None,
    )


async def note_failed(connection: AsyncConnection, event_id: str, failed: SyncFailed, recorded_at: datetime) -> bool:
    """Keep the outcome; False where it is here already, or the integration is not the account's."""
    return await _note(
        connection,
        event_id,
        recorded_at,
        failed,
        covered="{}",
        usd=None,
        days_changed=None,
        reconciled=None,
        code=failed.code.value,
        final=failed.final,
        attempts=failed.attempts,
        next_attempt_at=failed.next_attempt_at,
    )


async def _note(
    connection: AsyncConnection,
    event_id: str,
    recorded_at: datetime,
    outcome: SyncCompleted | SyncFailed,
    **columns: object,
) -> bool:
    values = {
        "integration_id": outcome.integration_id,
        "event_id": event_id,
        "account_id": outcome.account_id,
        "trigger": outcome.trigger.value,
        "request_ids": list(outcome.request_ids),
        "first_day": outcome.first_day,
        "last_day": outcome.last_day,
        "observed_at": outcome.observed_at,
        "recorded_at": recorded_at,
    }
    return (await connection.execute(_NOTE, values | columns)).rowcount > 0


async def newest(connection: AsyncConnection, integration_id: UUID, limit: int) -> list[Sync]:
    """The history, newest first."""
    rows = await connection.execute(
        text(f"""SELECT {_SYNC_COLUMNS} FROM syncs WHERE integration_id = :id
                 ORDER BY recorded_at DESC, event_id LIMIT :limit"""),  # noqa: S608 - only constants are put in
        {"id": integration_id, "limit": limit},
    )
    return [_sync(row._mapping) for row in rows]  # noqa: SLF001 - a row's public mapping has this name


async def last_completed(connection: AsyncConnection, integration_id: UUID) -> Sync | None:
    rows = await connection.execute(
        text(f"""SELECT {_SYNC_COLUMNS} FROM syncs WHERE integration_id = :id AND code IS NULL
                 ORDER BY observed_at DESC LIMIT 1"""),  # noqa: S608 - only constants are put in
        {"id": integration_id},
    )
    row = rows.one_or_none()
    return _sync(row._mapping) if row else None  # noqa: SLF001 - a row's public mapping has this name


async def days_read(connection: AsyncConnection, integration: Integration) -> int:
    """How many days of the backfill the ledger has confirmed since the integration was added."""
    values = {
        "id": integration.integration_id,
        "first": integration.backfill_first,
        "last": integration.backfill_last,
        "since": integration.added_at,
    }
    count: int = (await connection.execute(_DAYS_READ, values)).scalar_one()
    return count


async def failed_heals(connection: AsyncConnection, integration_id: UUID, tries: int) -> bool:
    """Whether the last `tries` healings all left days that do not add up."""
    rows = await connection.execute(
        text("""SELECT reconciled FROM syncs WHERE integration_id = :id AND trigger = 'heal' AND code IS NULL
                ORDER BY observed_at DESC LIMIT :tries"""),
        {"id": integration_id, "tries": tries},
    )
    found = list(rows.scalars())
    return len(found) == tries and not any(found)


async def put_away(connection: AsyncConnection) -> None:
    """Forget syncs that are older than the topic of their costs."""
    await connection.execute(
        text("DELETE FROM syncs WHERE recorded_at < clock_timestamp() - make_interval(days => :days)"),
        {"days": KEPT_DAYS},
    )


def _sync(fields: Any) -> Sync:  # noqa: ANN401 - a row's mapping
    return Sync(**{name: fields[name] for name in Sync.__slots__})
