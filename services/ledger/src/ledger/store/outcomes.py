"""Outcomes of windows, exactly as they were published, and what they are derived from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, LiteralString
from uuid import UUID

from common.database import Cursor, Pipeline
from contract.messages import SyncCompleted, WindowRead

from ledger.domain import StoredDay

# Of a window that is reconciled the outcome alone is needed: where it is replayed its days are not looked up.
_FIND: LiteralString = """
    SELECT o.event_id, o.judgements, o.reconciled, o.outcome,
        stored.days, stored.usd, stored.readings, stored.observed, changed.days AS changed
    FROM unnest(%(ids)b::uuid[], %(readings)b::uuid[], %(accounts)b::text[], %(first_days)b::date[], %(last_days)b::date[])
        WITH ORDINALITY AS w(integration_id, reading_id, account_id, first_day, last_day, number)
    LEFT JOIN outcomes o USING (integration_id, reading_id, account_id)
    CROSS JOIN LATERAL (
        SELECT array_agg(day) AS days, array_agg(usd) AS usd, array_agg(d.reading_id) AS readings,
            array_agg(d.observed_at) AS observed
        FROM days d WHERE o.reconciled IS NOT TRUE AND d.integration_id = w.integration_id
            AND d.account_id = w.account_id AND d.day BETWEEN w.first_day AND w.last_day
    ) stored
    CROSS JOIN LATERAL (
        SELECT array_agg(day ORDER BY day) AS days
        FROM day_revisions r WHERE o.reconciled IS NOT TRUE AND r.integration_id = w.integration_id
            AND r.account_id = w.account_id AND r.day BETWEEN w.first_day AND w.last_day
            AND r.replaced_by = w.reading_id
    ) changed
    ORDER BY number
"""

# An array of arrays has rows of one length: the days are text until they are in their column.
_SAVE: LiteralString = """
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


@dataclass(frozen=True, slots=True)
class FoundWindow:
    """What the ledger has of a window."""

    before: Reconciliation | None
    """The last one, if there is one."""
    stored: dict[date, StoredDay]
    """The days of the window; empty where `before` is reconciled, as is `changed`."""
    changed: list[date]
    """Those whose earlier content the window's reading replaced, in order."""


def key_of(window: WindowRead | SyncCompleted) -> WindowKey:
    """What identifies the outcome of a window."""
    return window.integration_id, window.reading_id, window.account_id


async def find(pipeline: Pipeline, windows: Sequence[WindowRead]) -> Cursor:
    """What the ledger has of each of `windows`: a row for each, in their order, that `found` reads."""
    first_days, last_days = [one.first_day for one in windows], [one.last_day for one in windows]
    return await pipeline.execute(_FIND, {**_keys(windows), "first_days": first_days, "last_days": last_days})


def found(row: dict[str, Any]) -> FoundWindow:
    """What a row of `find` holds; an array of no rows is None."""
    before = None
    if (text := row["outcome"]) is not None:
        outcome = SyncCompleted.model_validate_json(text)
        before = Reconciliation(row["event_id"], row["judgements"], row["reconciled"], outcome, text.encode())
    stored = map(StoredDay, row["usd"] or (), row["readings"] or (), row["observed"] or ())
    return FoundWindow(before, dict(zip(row["days"] or (), stored, strict=True)), row["changed"] or [])


async def save(pipeline: Pipeline, reconciliations: Sequence[Reconciliation]) -> None:
    """Store the results, at most one of a window."""
    all_outcomes = [one.outcome for one in reconciliations]
    await pipeline.execute(
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
    keys = list(map(key_of, windows))
    return {name: [key[number] for key in keys] for number, name in enumerate(("ids", "readings", "accounts"))}


def _unreconciled_days(outcome: SyncCompleted) -> str:
    """As an array of Postgres: those that are missing, and those for which the window claims nothing."""
    return f"{{{','.join(map(str, sorted({*outcome.unreconciled_days, *(outcome.questioned_days or ())})))}}}"
