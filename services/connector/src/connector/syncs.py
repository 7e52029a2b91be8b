"""The history of syncs, and how much of a backfill it covers. Callers own the transaction."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from common.database import Cursor, Pipeline
from contract.cloudevents import Event
from contract.messages import SyncCompleted, SyncFailed
from contract.problems import Code
from contract.rules import READABLE_DAYS
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from connector.domain import covered
from connector.store import COLUMNS, FROM, Integration, integration_of

SyncOutcome = SyncCompleted | SyncFailed


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


@dataclass(frozen=True, slots=True)
class Progress:
    """An integration, and what its card shows of its syncs since it was added; by default none."""

    integration: Integration
    days_read: int = 0
    """Of the backfill."""
    questioned: list[date] = field(default_factory=list)
    """Days of which xAI reported less than before and is asked again."""


_SYNC_COLUMNS = ", ".join(Sync.__slots__)
_COMPLETED: dict[str, object] = {"final": True, "attempts": 0}
"""Of a SyncCompleted, which has no such fields; other fields that an outcome does not have are null."""

_RECORD = """
    INSERT INTO syncs (integration_id, event_id, account_id, trigger, request_ids, first_day, last_day, covered, usd,
        days_changed, reconciled, questioned_days, code, final, attempts, next_attempt_at, observed_at, recorded_at)
    SELECT new.* FROM json_to_recordset(%(outcomes)s::json) AS new (
        integration_id uuid, event_id text, account_id text, trigger text, request_ids text[], first_day date, last_day date,
        covered datemultirange, usd numeric, days_changed integer, reconciled boolean, questioned_days date[], code text,
        final boolean, attempts integer, next_attempt_at timestamptz, observed_at timestamptz, recorded_at timestamptz)
    JOIN integrations i USING (integration_id, account_id)
    WHERE i.history IS DISTINCT FROM 'erase'
    ON CONFLICT (integration_id, event_id) DO NOTHING
    RETURNING integration_id
"""

_BACKFILL = "daterange(i.backfill_first, greatest(i.backfill_first, i.backfill_last + 1))"
"""Empty where xAI refuses all of its days."""

_DAYS_READ = f"""(
    SELECT coalesce(sum(upper(range) - lower(range)), 0) FROM (
        SELECT unnest(range_agg(covered) * datemultirange({_BACKFILL})) AS range
        FROM syncs WHERE integration_id = i.integration_id AND observed_at >= i.added_at
    ) read) AS days_read"""  # noqa: S608 - only a constant is put in
"""Of the integration `i`: days of its backfill that the ledger has confirmed by readings since it was added.

Both instants are of one clock, the database's; those of the broker's records are not.
"""

# The newest sync of a day decides; of two of one instant the same one, in whatever order they came.
QUESTIONED = f"""ARRAY(
    SELECT day FROM (
        SELECT DISTINCT unnest(questioned_days) AS day FROM syncs
        WHERE integration_id = i.integration_id AND questioned_days <> '{{}}' AND observed_at >= i.added_at
    ) asked
    WHERE i.removed_at IS NULL
        AND day > CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date) - {READABLE_DAYS}
        AND day = ANY (CAST((SELECT questioned_days FROM syncs WHERE integration_id = i.integration_id AND covered @> asked.day
            AND observed_at >= i.added_at ORDER BY observed_at DESC, event_id LIMIT 1) AS date[]))
    ORDER BY day) AS questioned_days"""  # noqa: S608 - only a constant is put in
"""Of the integration `i`: days of which xAI reported less than before and is asked again; none of a removed one."""

_PROGRESS = f"SELECT {COLUMNS}, {_DAYS_READ}, {QUESTIONED} {FROM} WHERE i.integration_id = ANY(%(ids)s)"
_FILLED_IN = f"""
    SELECT integration_id FROM (
        SELECT i.integration_id, i.backfill_last - i.backfill_first + 1 AS expected, {_DAYS_READ} FROM unnest(
            %(ids)s::uuid[], %(first)s::date[], %(last)s::date[], %(added_at)s::timestamptz[]
        ) AS i (integration_id, backfill_first, backfill_last, added_at)
    ) one WHERE days_read >= expected
"""  # noqa: S608 - only constants are put in

_FIRST_READ = "SELECT min(lower(covered)) AS day FROM syncs WHERE integration_id = %(id)s AND NOT isempty(covered)"

_UNHEALED = """
    WITH left_open AS (
        SELECT integration_id, readable_from, observed_at,
            unnest(datemultirange(daterange(first_day, last_day, '[]')) - covered) AS days
        FROM unnest(%(ids)s::uuid[], %(readable_from)s::date[]) AS one (integration_id, readable_from)
        JOIN syncs USING (integration_id) WHERE trigger = 'heal' AND NOT reconciled
    )
    SELECT DISTINCT integration_id
    FROM left_open, generate_series(lower(days)::timestamp, upper(days) - 1, '1 day') AS d(day)
    WHERE d.day >= readable_from AND NOT EXISTS (SELECT 1 FROM syncs s WHERE s.integration_id = left_open.integration_id
        AND s.covered @> d.day::date AND s.observed_at >= left_open.observed_at)
    GROUP BY integration_id, d.day HAVING count(DISTINCT observed_at) >= %(tries)s
"""

_LAST_COMPLETED = f"""
    SELECT one.id AS integration_id, {_SYNC_COLUMNS} FROM unnest(%(ids)s::uuid[]) AS one (id), LATERAL (
        SELECT {_SYNC_COLUMNS} FROM syncs WHERE integration_id = one.id AND code IS NULL
        ORDER BY observed_at DESC, event_id LIMIT 1
    ) last
"""  # noqa: S608 - only constants are put in

_NEWEST = f"""
    SELECT {_SYNC_COLUMNS} FROM syncs WHERE integration_id = %(id)s ORDER BY recorded_at DESC, event_id LIMIT %(limit)s
"""  # noqa: S608 - only constants are put in

_DELETE_EXPIRED = text(f"""
    DELETE FROM syncs s WHERE recorded_at < now() - CAST(:keep AS interval)
        AND NOT EXISTS (SELECT 1 FROM integrations i WHERE i.integration_id = s.integration_id
            AND s.covered && {_BACKFILL})
""")  # noqa: S608 - only a constant is put in


async def record(pipeline: Pipeline, syncs: Mapping[UUID, Sync], events: Sequence[Event[SyncOutcome]]) -> Cursor:
    """Store outcomes, at most one of each integration, as `syncs` has them; the rows are the integrations' IDs.

    Not what is stored already, and not where the integration is not the account's.
    """
    rows = [_row(event, syncs[event.message.integration_id]) for event in events]
    return await pipeline.execute(_RECORD, {"outcomes": json.dumps(rows, default=str)})


def sync_of(event: Event[SyncOutcome]) -> Sync:
    """The line of the history."""
    outcome = event.message
    values: dict[str, Any] = {name: getattr(outcome, name, _COMPLETED.get(name)) for name in Sync.__slots__}
    own = {"request_ids": list(outcome.request_ids), "questioned_days": questioned_in(outcome)}
    return Sync(**values | own | {"recorded_at": event.recorded_at})


def _row(event: Event[SyncOutcome], sync: Sync) -> dict[str, object]:
    outcome = event.message
    key = {"integration_id": outcome.integration_id, "account_id": outcome.account_id, "event_id": event.event_id}
    return {name: getattr(sync, name) for name in Sync.__slots__} | key | {"covered": _covered(outcome)}


def _covered(outcome: SyncOutcome) -> str:
    """As Postgres writes a multirange."""
    if isinstance(outcome, SyncFailed):
        ranges = [(day, day) for day in questioned_in(outcome)]
    else:
        ranges = covered(outcome.first_day, outcome.last_day, outcome.unreconciled_days)
    return "{" + ",".join(f"[{first},{last}]" for first, last in ranges) + "}"


def questioned_in(outcome: SyncOutcome) -> list[date]:
    """The days that the outcome questions; a window of which nothing was believed ends as a failure."""
    if isinstance(outcome, SyncCompleted):
        return list(outcome.questioned_days or ())
    if outcome.code is not Code.ANSWER_QUESTIONED or not outcome.first_day or not outcome.last_day:
        return []
    return [
        outcome.first_day + timedelta(days=number) for number in range((outcome.last_day - outcome.first_day).days + 1)
    ]


async def newest(pipeline: Pipeline, integration_id: UUID, limit: int) -> list[Sync]:
    """The history, newest first."""
    rows = await pipeline.execute(_NEWEST, {"id": integration_id, "limit": limit})
    return [_sync(row) async for row in rows]


async def last_completed(pipeline: Pipeline, integration_ids: Collection[UUID]) -> dict[UUID, Sync]:
    """By integration; none of one without."""
    rows = await pipeline.execute(_LAST_COMPLETED, {"ids": list(integration_ids)})
    return {row["integration_id"]: _sync(row) async for row in rows}


async def progress(pipeline: Pipeline, integration_ids: Collection[UUID]) -> dict[UUID, Progress]:
    """Integrations with what their cards show of their syncs, by ID; also removed ones."""
    if not integration_ids:
        return {}
    rows = await pipeline.execute(_PROGRESS, {"ids": list(integration_ids)})
    return {
        row["integration_id"]: Progress(integration_of(row), int(row["days_read"]), row["questioned_days"])
        async for row in rows
    }


async def first_read(pipeline: Pipeline, integration_id: UUID) -> date | None:
    """The first day of the history's syncs that was read; those of the backfill are never deleted."""
    [row] = await (await pipeline.execute(_FIRST_READ, {"id": integration_id})).fetchall()
    first: date | None = row["day"]
    return first


async def filled_in(pipeline: Pipeline, readable_from: Sequence[tuple[Integration, date]]) -> set[UUID]:
    """The integrations of which every day of the backfill that xAI still answers has been confirmed."""
    if not readable_from:
        return set()
    values: dict[str, list[Any]] = {"ids": [], "first": [], "last": [], "added_at": []}
    for one, readable in readable_from:
        beyond = (one.beyond_xai_until or date.min) + timedelta(days=1)
        row = (one.integration_id, max(one.backfill_first, readable, beyond), one.backfill_last, one.added_at)
        for column, value in zip(values.values(), row, strict=True):
            column.append(value)
    return {row["integration_id"] async for row in await pipeline.execute(_FILLED_IN, values)}


async def unhealed(pipeline: Pipeline, tries: int, readable_from: Mapping[UUID, date]) -> set[UUID]:
    """The integrations of which some day that xAI still answers was left open by `tries` healings and never confirmed since."""
    if not readable_from:
        return set()
    values = {"tries": tries, "ids": list(readable_from), "readable_from": list(readable_from.values())}
    return {row["integration_id"] async for row in await pipeline.execute(_UNHEALED, values)}


async def erase(pipeline: Pipeline, integration_id: UUID) -> None:
    """Delete the integration's syncs: they hold sums."""
    await pipeline.execute("DELETE FROM syncs WHERE integration_id = %(id)s", {"id": integration_id})


async def delete_expired(connection: AsyncConnection, keep: timedelta) -> None:
    """Delete syncs older than `keep`, except those that a card counts as its backfill."""
    await connection.execute(_DELETE_EXPIRED, {"keep": keep})


def _sync(fields: Mapping[str, Any]) -> Sync:
    return Sync(**{name: fields[name] for name in Sync.__slots__})
