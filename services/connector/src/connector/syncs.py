"""The history of syncs, and how much of a backfill it covers. Callers own the transaction."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from contract.cloudevents import Event
from contract.messages import SyncCompleted, SyncFailed
from contract.problems import Code
from contract.rules import READABLE_DAYS
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from connector.domain import covered
from connector.store import Integration


@dataclass(frozen=True, slots=True)
class Sync:
    """How a window ended, or why it waits for a retry."""

    trigger: str
    request_ids: list[str]
    first_day: date | None
    last_day: date | None
    usd: Decimal | None
    days_changed: int | None
    reconciled: bool | None
    questioned_days: list[date]
    """Days that were read, but not believed yet."""
    code: str | None
    final: bool
    attempts: int
    next_attempt_at: datetime | None
    observed_at: datetime | None
    recorded_at: datetime


_SYNC_COLUMNS = ", ".join(Sync.__slots__)
_COMPLETED: dict[str, object] = {"final": True, "attempts": 0}
"""Of a SyncCompleted, which has no such fields; other fields that an outcome does not have are null."""

_RECORD = text(f"""
    INSERT INTO syncs (integration_id, event_id, account_id, trigger, request_ids, first_day, last_day, covered, usd,
        days_changed, reconciled, questioned_days, code, final, attempts, next_attempt_at, observed_at, recorded_at)
    SELECT :integration_id, :event_id, :account_id, :trigger, :request_ids, :first_day, :last_day,
        CAST(:covered AS datemultirange), :usd, :days_changed, :reconciled, :questioned_days, :code, :final, :attempts,
        :next_attempt_at, :observed_at, :recorded_at
    WHERE EXISTS (SELECT 1 FROM integrations WHERE integration_id = :integration_id AND account_id = :account_id
        AND history IS DISTINCT FROM 'erase')
    ON CONFLICT (integration_id, event_id) DO NOTHING
    RETURNING {_SYNC_COLUMNS}
""")  # noqa: S608 - only constants are put in

_DAYS_READ = text("""
    SELECT coalesce(sum(upper(range) - lower(range)), 0) FROM (
        SELECT unnest(range_agg(covered) * datemultirange(daterange(:first, :last, '[]'))) AS range
        FROM syncs WHERE integration_id = :id AND observed_at >= :since
    ) read
""")

# The newest sync of a day decides.
_QUESTIONED = text("""
    SELECT day FROM (
        SELECT DISTINCT unnest(questioned_days) AS day FROM syncs
        WHERE integration_id = :id AND questioned_days <> '{}' AND observed_at >= :since
    ) asked
    WHERE day > CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date) - CAST(:readable_days AS integer)
        AND day = ANY (CAST((SELECT questioned_days FROM syncs WHERE integration_id = :id AND covered @> asked.day
            AND observed_at >= :since ORDER BY observed_at DESC LIMIT 1) AS date[]))
    ORDER BY day
""")

_FIRST_READ = text("SELECT min(lower(covered)) FROM syncs WHERE integration_id = :id AND NOT isempty(covered)")

_UNHEALED = text("""
    WITH left_open AS (
        SELECT observed_at, unnest(datemultirange(daterange(first_day, last_day, '[]')) - covered) AS days
        FROM syncs WHERE integration_id = :id AND trigger = 'heal' AND NOT reconciled
    )
    SELECT EXISTS (
        SELECT 1 FROM left_open, generate_series(lower(days)::timestamp, upper(days) - 1, '1 day') AS d(day)
        WHERE d.day >= :readable_from AND NOT EXISTS (SELECT 1 FROM syncs s WHERE s.integration_id = :id
            AND s.covered @> d.day::date AND s.observed_at >= left_open.observed_at)
        GROUP BY d.day HAVING count(DISTINCT left_open.observed_at) >= :tries
    )
""")

_DELETE_EXPIRED = text("""
    DELETE FROM syncs s WHERE recorded_at < clock_timestamp() - CAST(:keep AS interval)
        AND NOT EXISTS (SELECT 1 FROM integrations i WHERE i.integration_id = s.integration_id
            AND s.covered && daterange(i.backfill_first, i.backfill_last, '[]'))
""")


async def record(connection: AsyncConnection, event: Event[SyncCompleted] | Event[SyncFailed]) -> Sync | None:
    """Store the outcome and return it; None where it is stored already, or the integration is not the account's."""
    outcome = event.message
    fields = ("integration_id", "account_id", *Sync.__slots__)
    values = {name: getattr(outcome, name, _COMPLETED.get(name)) for name in fields} | {
        "event_id": event.event_id,
        "request_ids": list(outcome.request_ids),
        "covered": _covered(outcome),
        "questioned_days": _questioned(outcome),
        "recorded_at": event.recorded_at,
    }
    row = (await connection.execute(_RECORD, values)).one_or_none()
    return _sync(row._mapping) if row else None  # noqa: SLF001 - a row's public mapping has this name


def _covered(outcome: SyncCompleted | SyncFailed) -> str:
    """As Postgres writes a multirange."""
    if isinstance(outcome, SyncFailed):
        ranges = [(day, day) for day in _questioned(outcome)]
    else:
        ranges = covered(outcome.first_day, outcome.last_day, outcome.unreconciled_days)
    return "{" + ",".join(f"[{first},{last}]" for first, last in ranges) + "}"


def _questioned(outcome: SyncCompleted | SyncFailed) -> list[date]:
    """A window of which nothing was believed ends as a failure."""
    if isinstance(outcome, SyncCompleted):
        return list(outcome.questioned_days or ())
    if outcome.code is not Code.ANSWER_QUESTIONED or not outcome.first_day or not outcome.last_day:
        return []
    return [
        outcome.first_day + timedelta(days=number) for number in range((outcome.last_day - outcome.first_day).days + 1)
    ]


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


async def days_read(connection: AsyncConnection, integration: Integration, first: date | None = None) -> int:
    """Days of the backfill, from `first` on, that the ledger has confirmed by readings since the integration was added.

    Both instants are of one clock, the database's; those of the broker's records are not.
    """
    values = {
        "id": integration.integration_id,
        "first": first or integration.backfill_first,
        "last": integration.backfill_last,
        "since": integration.added_at,
    }
    count: int = (await connection.execute(_DAYS_READ, values)).scalar_one()
    return count


async def questioned(connection: AsyncConnection, integration: Integration) -> list[date]:
    """Days of which xAI reported less than before and is asked again; none of a removed integration."""
    if integration.removed_at is not None:
        return []
    values = {"id": integration.integration_id, "since": integration.added_at, "readable_days": READABLE_DAYS}
    return list((await connection.execute(_QUESTIONED, values)).scalars())


async def first_read(connection: AsyncConnection, integration_id: UUID) -> date | None:
    """The first day of the history's syncs that was read; those of the backfill are never deleted."""
    first: date | None = (await connection.execute(_FIRST_READ, {"id": integration_id})).scalar_one()
    return first


async def filled_in(connection: AsyncConnection, integration: Integration, readable_from: date) -> bool:
    """Whether every day of the backfill that xAI still answers has been confirmed."""
    beyond = integration.beyond_xai_until or date.min
    first = max(integration.backfill_first, readable_from, beyond + timedelta(days=1))
    expected = (integration.backfill_last - first).days + 1
    return expected <= 0 or await days_read(connection, integration, first) >= expected


async def unhealed(connection: AsyncConnection, integration_id: UUID, tries: int, readable_from: date) -> bool:
    """Whether some day that xAI still answers was left open by `tries` healings and never confirmed since."""
    values = {"id": integration_id, "tries": tries, "readable_from": readable_from}
    exists: bool = (await connection.execute(_UNHEALED, values)).scalar_one()
    return exists


async def erase(connection: AsyncConnection, integration_id: UUID) -> None:
    """Delete the integration's syncs: they hold sums."""
    await connection.execute(text("DELETE FROM syncs WHERE integration_id = :id"), {"id": integration_id})


async def delete_expired(connection: AsyncConnection, keep: timedelta) -> None:
    """Delete syncs older than `keep`, except those that a card counts as its backfill."""
    await connection.execute(_DELETE_EXPIRED, {"keep": keep})


def _sync(fields: Any) -> Sync:  # noqa: ANN401 - a row's mapping
    return Sync(**{name: fields[name] for name in Sync.__slots__})
