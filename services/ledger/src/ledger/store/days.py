"""Days, each as its newest reading reported it; a trigger keeps what a day held before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, LiteralString

from contract.messages import CostRecorded, WindowRead
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.domain import StoredDay, batches_of_unique_days

ENDS_AT: LiteralString = "(d.day + 1)::timestamp AT TIME ZONE 'UTC'"
"""The instant at which the UTC day of a row `d` is over: `contract.rules.ends_at` in SQL."""
_REPLACED: LiteralString = f"""SELECT FROM day_revisions r WHERE r.integration_id = d.integration_id
    AND r.day = d.day AND r.account_id = :account_id AND r.said_since >= {ENDS_AT}"""
RESTATED: LiteralString = f"EXISTS ({_REPLACED})"
"""Whether what was reported of the day of a row `d`, after it was over, has been replaced; the key alone answers it."""
RESTATED_AS_OF: LiteralString = f"EXISTS ({_REPLACED} AND r.said_until <= :as_of)"
"""The same, as known at an instant."""

# Binary arrays (%b): the text form of a list of JSON strings costs a hundred times as much. The anti-join leaves
# replayed rows unlocked; the order keeps two batches from deadlocking.
_RECORD = """
    INSERT INTO days (integration_id, day, account_id, usd, costs, reading_id, observed_at, said_since)
    SELECT integration_id, day, account_id, usd, costs::jsonb, reading_id, observed_at, observed_at
    FROM unnest(%(ids)b::uuid[], %(days)b::date[], %(accounts)b::text[], %(usd)b::numeric[], %(costs)b::text[],
        %(readings)b::uuid[], %(observed)b::timestamptz[])
        AS new(integration_id, day, account_id, usd, costs, reading_id, observed_at)
    WHERE NOT EXISTS (SELECT 1 FROM days old WHERE old.integration_id = new.integration_id AND old.day = new.day
        AND old.account_id = new.account_id AND old.observed_at >= new.observed_at)
    ORDER BY integration_id, day, account_id
    ON CONFLICT (integration_id, day, account_id) DO UPDATE SET
        usd = excluded.usd, costs = excluded.costs, reading_id = excluded.reading_id, observed_at = excluded.observed_at
    WHERE days.observed_at < excluded.observed_at
"""

_WINDOW_DAYS = """
    SELECT stored.days, stored.usd, stored.readings, stored.observed, changed.days AS changed
    FROM unnest(%(ids)b::uuid[], %(accounts)b::text[], %(readings)b::uuid[], %(first_days)b::date[], %(last_days)b::date[])
        WITH ORDINALITY AS w(integration_id, account_id, reading_id, first_day, last_day, number)
    CROSS JOIN LATERAL (
        SELECT array_agg(day) AS days, array_agg(usd) AS usd, array_agg(reading_id) AS readings,
            array_agg(observed_at) AS observed
        FROM days d WHERE d.integration_id = w.integration_id AND d.account_id = w.account_id
            AND d.day BETWEEN w.first_day AND w.last_day
    ) stored
    CROSS JOIN LATERAL (
        SELECT array_agg(day ORDER BY day) AS days
        FROM day_revisions r WHERE r.integration_id = w.integration_id AND r.account_id = w.account_id
            AND r.day BETWEEN w.first_day AND w.last_day AND r.replaced_by = w.reading_id
    ) changed
    ORDER BY number
"""


@dataclass(frozen=True, slots=True)
class WindowDays:
    """What is stored of the days of a window."""

    stored: dict[date, StoredDay]
    changed: list[date]
    """Those whose earlier content the window's reading replaced, in order."""


async def record(connection: AsyncConnection, days: Sequence[CostRecorded]) -> int:
    """Write the days that are newer than the stored ones; returns how many of `days` these were."""
    return sum([await _record(connection, batch) for batch in batches_of_unique_days(days)])


async def _record(connection: AsyncConnection, days: Sequence[CostRecorded]) -> int:
    result = await connection.exec_driver_sql(
        _RECORD,
        {
            "ids": [day.integration_id for day in days],
            "days": [day.day for day in days],
            "accounts": [day.account_id for day in days],
            "usd": [day.usd for day in days],
            "costs": [day.costs.json for day in days],
            "readings": [day.reading_id for day in days],
            "observed": [day.observed_at for day in days],
        },
    )
    return result.rowcount


async def window_days(connection: AsyncConnection, windows: Sequence[WindowRead]) -> list[WindowDays]:
    """What is stored of the days of each of `windows`."""
    if not windows:
        return []
    rows = await connection.exec_driver_sql(
        _WINDOW_DAYS,
        {
            "ids": [window.integration_id for window in windows],
            "accounts": [window.account_id for window in windows],
            "readings": [window.reading_id for window in windows],
            "first_days": [window.first_day for window in windows],
            "last_days": [window.last_day for window in windows],
        },
    )
    return [_window_days(row) for row in rows]


def _window_days(row: Any) -> WindowDays:  # noqa: ANN401 - SQLAlchemy knows the columns at run time
    """An array of no rows is None."""
    stored = map(StoredDay, row.usd or (), row.readings or (), row.observed or ())
    return WindowDays(dict(zip(row.days or (), stored, strict=True)), row.changed or [])
