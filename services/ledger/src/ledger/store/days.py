"""Days, each as its newest reading reported it; a trigger keeps what a day held before."""

from collections.abc import Sequence
from datetime import date

from contract.messages import Cost, CostRecorded, WindowRead
from pydantic import TypeAdapter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.domain import StoredDay, batches_of_unique_days

COSTS: TypeAdapter[tuple[Cost, ...]] = TypeAdapter(tuple[Cost, ...])

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
            "costs": [COSTS.dump_json(day.costs).decode() for day in days],
            "readings": [day.reading_id for day in days],
            "observed": [day.observed_at for day in days],
        },
    )
    return result.rowcount


async def stored_days(connection: AsyncConnection, window: WindowRead) -> dict[date, StoredDay]:
    """The window's days that are stored."""
    rows = await connection.execute(
        text("""SELECT day, usd, reading_id, observed_at FROM days
                WHERE integration_id = :integration_id AND account_id = :account_id
                AND day BETWEEN :first_day AND :last_day"""),
        _parameters(window),
    )
    return {row.day: StoredDay(row.usd, row.reading_id, row.observed_at) for row in rows}


async def changed_days(connection: AsyncConnection, window: WindowRead) -> list[date]:
    """The window's days whose earlier content its reading replaced."""
    rows = await connection.execute(
        text("""SELECT day FROM day_revisions
                WHERE integration_id = :integration_id AND account_id = :account_id
                AND day BETWEEN :first_day AND :last_day AND replaced_by = :reading_id ORDER BY day"""),
        _parameters(window) | {"reading_id": window.reading_id},
    )
    return list(rows.scalars())


def _parameters(window: WindowRead) -> dict[str, object]:
    return window.model_dump(include={"integration_id", "account_id", "first_day", "last_day"})
