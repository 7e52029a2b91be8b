"""Outcomes of windows, exactly as they were published."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from contract.messages import SyncCompleted, WindowRead
from sqlalchemy.ext.asyncio import AsyncConnection

_LOAD = """
    SELECT integration_id, reading_id, account_id, event_id, judgements, reconciled, outcome
    FROM unnest(%(ids)b::uuid[], %(readings)b::uuid[], %(accounts)b::text[]) AS w(integration_id, reading_id, account_id)
    JOIN outcomes USING (integration_id, reading_id, account_id)
"""

# An array of arrays has rows of one length: the days are text until they are in their column.
_SAVE = """
    INSERT INTO outcomes (integration_id, reading_id, account_id, event_id, judgements, reconciled, first_day, last_day,
        observed_at, unreconciled_days, outcome, answers)
    SELECT integration_id, reading_id, account_id, event_id, judgements, reconciled, first_day, last_day,
        observed_at, unreconciled_days::date[], outcome, answers::jsonb
    FROM unnest(%(ids)b::uuid[], %(readings)b::uuid[], %(accounts)b::text[], %(events)b::text[], %(numbers)b::int[],
        %(reconciled)b::bool[], %(first_days)b::date[], %(last_days)b::date[], %(observed)b::timestamptz[],
        %(unreconciled_days)b::text[], %(outcomes)b::text[], %(answers)b::text[])
        AS new(integration_id, reading_id, account_id, event_id, judgements, reconciled, first_day, last_day,
            observed_at, unreconciled_days, outcome, answers)
    ORDER BY integration_id, reading_id, account_id
    ON CONFLICT (integration_id, reading_id, account_id) DO UPDATE SET event_id = excluded.event_id,
        judgements = excluded.judgements, reconciled = excluded.reconciled, first_day = excluded.first_day,
        last_day = excluded.last_day, observed_at = excluded.observed_at,
        unreconciled_days = excluded.unreconciled_days, outcome = excluded.outcome
"""

WindowKey = tuple[UUID, UUID, str]
"""Integration, reading, account."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Result of comparing a window with the stored days, and the event that announces it."""

    event_id: str
    number: int
    """From 1; the next one where the same window has a different outcome (column `judgements`)."""
    reconciled: bool
    outcome: SyncCompleted
    body: bytes
    """`outcome` as it is stored and published, word for word."""
    answers: bytes | None = None
    """The window's `answers` as JSON."""


def key_of(window: WindowRead | SyncCompleted) -> WindowKey:
    """What identifies the outcome of a window."""
    return window.integration_id, window.reading_id, window.account_id


async def load(connection: AsyncConnection, windows: Sequence[WindowRead]) -> dict[WindowKey, Reconciliation]:
    """The last reconciliation of each of `windows` that has one."""
    if not windows:
        return {}
    rows = await connection.exec_driver_sql(_LOAD, _keys(windows))
    found = {}
    for row in rows:
        outcome = SyncCompleted.model_validate_json(row.outcome)
        key = row.integration_id, row.reading_id, row.account_id
        found[key] = Reconciliation(row.event_id, row.judgements, row.reconciled, outcome, row.outcome.encode())
    return found


async def save(connection: AsyncConnection, reconciliations: Sequence[Reconciliation]) -> None:
    """Store the results, at most one of a window."""
    if not reconciliations:
        return
    all_outcomes = [one.outcome for one in reconciliations]
    await connection.exec_driver_sql(
        _SAVE,
        _keys(all_outcomes)
        | {
            "events": [one.event_id for one in reconciliations],
            "numbers": [one.number for one in reconciliations],
            "reconciled": [one.reconciled for one in reconciliations],
            "first_days": [outcome.first_day for outcome in all_outcomes],
            "last_days": [outcome.last_day for outcome in all_outcomes],
            "observed": [outcome.observed_at for outcome in all_outcomes],
            "unreconciled_days": [_unreconciled_days(outcome) for outcome in all_outcomes],
            "outcomes": [one.body.decode() for one in reconciliations],
            "answers": [one.answers.decode() if one.answers else None for one in reconciliations],
        },
    )


def _keys(windows: Sequence[WindowRead | SyncCompleted]) -> dict[str, list[object]]:
    ids, readings, accounts = map(list, zip(*map(key_of, windows), strict=True))
    return {"ids": ids, "readings": readings, "accounts": accounts}


def _unreconciled_days(outcome: SyncCompleted) -> str:
    """As an array of Postgres: those that are missing, and those for which the window claims nothing."""
    return f"{{{','.join(map(str, sorted({*outcome.unreconciled_days, *(outcome.questioned_days or ())})))}}}"
