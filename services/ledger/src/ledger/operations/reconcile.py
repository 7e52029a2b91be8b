"""Whether the ledger holds what the topic of costs claims, and every day it should hold. Callers own the transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from contract.messages import CostRecorded, WindowRead
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Claim:
    """What one message claims about one day: its costs, or its total in a window."""

    integration_id: UUID
    account_id: str
    day: date
    usd: Decimal
    reading_id: UUID
    observed_at: datetime
    partition: int
    offset: int
    costs: str | None = None
    """JSON as in the message; None: a total in a window."""


@dataclass(frozen=True, slots=True)
class State:
    """How the ledger holds what was claimed."""

    name: str
    """`held`, `stale` (a newer reading is stored), `erased`, `missing`, or `differs`."""
    columns: str
    """Names of those that differ."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Consecutive days of an integration that the ledger should hold, and does not."""

    integration_id: UUID
    account_id: str
    first_day: date
    last_day: date


@dataclass(frozen=True, slots=True)
class StoredDay:
    """A day in the ledger."""

    day: date
    usd: Decimal
    costs: Mapping[str, Decimal]
    """US dollars per label."""
    observed_at: datetime


_STATES = text("""
    SELECT n.number, CASE
        WHEN e.integration_id IS NOT NULL THEN 'erased'
        WHEN d.day IS NULL OR d.observed_at < n.observed_at THEN 'missing'
        WHEN d.observed_at > n.observed_at THEN 'stale'
        WHEN columns = '' THEN 'held'
        ELSE 'differs' END AS name, CASE WHEN d.observed_at = n.observed_at THEN columns ELSE '' END AS columns
    FROM unnest(CAST(:ids AS uuid[]), CAST(:days AS date[]), CAST(:accounts AS text[]), CAST(:usd AS numeric[]),
        CAST(:costs AS text[]), CAST(:readings AS uuid[]), CAST(:observed AS timestamptz[]))
        WITH ORDINALITY AS n(integration_id, day, account_id, usd, costs, reading_id, observed_at, number)
    LEFT JOIN days d USING (integration_id, day, account_id)
    CROSS JOIN LATERAL concat_ws(', ', CASE WHEN d.usd <> n.usd THEN 'usd' END,
        CASE WHEN d.observed_at = n.observed_at AND n.costs IS NOT NULL
            AND same_costs(costs_of(d.labels_id, d.amounts), CAST(n.costs AS jsonb)) IS NOT TRUE THEN 'costs' END,
        CASE WHEN d.reading_id <> n.reading_id THEN 'reading_id' END) AS columns
    LEFT JOIN erased e ON e.integration_id = n.integration_id
    ORDER BY n.number
""")

_GAPS = text("""
    SELECT integration_id, account_id, min(day) AS first_day, max(day) AS last_day FROM (
        SELECT i.integration_id, i.account_id, w.day::date AS day,
            w.day::date - (row_number() OVER (PARTITION BY i.integration_id ORDER BY w.day))::int AS run
        FROM integrations i,
            generate_series(i.history_from::timestamp, (coalesce(i.removed_at::date, :today) - 1)::timestamp, '1 day') AS w(day)
        WHERE i.history IS DISTINCT FROM 'erase' AND NOT i.duplicate AND NOT EXISTS (SELECT 1 FROM days d
            WHERE d.integration_id = i.integration_id AND d.account_id = i.account_id AND d.day = w.day::date
            AND d.observed_at >= (w.day + interval '1 day') AT TIME ZONE 'UTC')
    ) missing GROUP BY integration_id, account_id, run ORDER BY 1, 3
""")

_STORED = text("""
    SELECT day, usd, costs_of(labels_id, amounts) AS costs, observed_at FROM days
    WHERE integration_id = :id AND account_id = :account_id AND day = ANY(:days)
""")

_UNEVEN = text("""
    SELECT integration_id, account_id, day AS first_day, day AS last_day FROM (
        SELECT integration_id, account_id, day, usd, labels_id, amounts FROM days
        UNION ALL SELECT integration_id, account_id, day, usd, labels_id, amounts FROM day_revisions
    ) stored LEFT JOIN label_lists USING (labels_id)
    WHERE usd <> (SELECT coalesce(sum(amount), 0) FROM unnest(amounts) amount)
        OR jsonb_array_length(labels) IS DISTINCT FROM cardinality(amounts)
    ORDER BY 1, 3
""")


def claims_of(message: CostRecorded | WindowRead, partition: int, offset: int) -> list[Claim]:
    """What a message claims about its days."""
    totals = {message.day: message.usd} if isinstance(message, CostRecorded) else message.totals
    costs = message.costs.json if isinstance(message, CostRecorded) else None
    owner = message.integration_id, message.account_id
    reading = message.reading_id, message.observed_at
    return [Claim(*owner, day, usd, *reading, partition, offset, costs) for day, usd in totals.items()]


async def states(connection: AsyncConnection, claims: Sequence[Claim]) -> list[State]:
    """The state of each claim."""
    values = {
        "ids": [one.integration_id for one in claims],
        "days": [one.day for one in claims],
        "accounts": [one.account_id for one in claims],
        "usd": [one.usd for one in claims],
        "costs": [one.costs for one in claims],
        "readings": [one.reading_id for one in claims],
        "observed": [one.observed_at for one in claims],
    }
    return [State(row.name, row.columns) for row in await connection.execute(_STATES, values)]


async def stored_days(
    connection: AsyncConnection, integration_id: UUID, account_id: str, days: Sequence[date]
) -> dict[date, StoredDay]:
    """Those of `days` that are there."""
    rows = await connection.execute(_STORED, {"id": integration_id, "account_id": account_id, "days": days})
    found = (StoredDay(row.day, row.usd, _by_label(row.costs), row.observed_at) for row in rows)
    return {one.day: one for one in found}


def _by_label(costs: Sequence[Mapping[str, str]]) -> dict[str, Decimal]:
    return {one["label"]: Decimal(one["usd"]) for one in costs}


async def gaps(connection: AsyncConnection, today: date) -> list[Gap]:
    """Finished days that are expected, and that have no reading made after their end."""
    return [Gap(**row._mapping) for row in await connection.execute(_GAPS, {"today": today})]  # noqa: SLF001 - a row's public mapping has this name


async def uneven(connection: AsyncConnection) -> list[Gap]:
    """Days, former ones too, of which sum or number of labels does not fit the amounts: only a manual change causes that."""
    return [Gap(**row._mapping) for row in await connection.execute(_UNEVEN)]  # noqa: SLF001 - a row's public mapping has this name
