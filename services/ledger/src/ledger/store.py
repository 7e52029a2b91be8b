"""The ledger's tables. Callers own the transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from contract.messages import Cost, CostRecorded, IntegrationState, SyncCompleted, WindowRead
from pydantic import TypeAdapter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.domain import Expectation, Standing

ERASING_LOCK = 7_205_759_405
"""Batches share it, an erase has it alone: a batch that did not know of the erase has committed before it."""

_COSTS: TypeAdapter[tuple[Cost, ...]] = TypeAdapter(tuple[Cost, ...])

# Binary arrays (%b): the text form of a list of JSON strings costs a hundred times as much. The anti-join keeps replayed
# rows from being locked at all; the order keeps two batches from waiting for each other.
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

_SAVE_INTEGRATION = text("""
    INSERT INTO integrations (integration_id, account_id, team_id, label, plan, status, version, history, history_from,
        added_at, removed_at)
    VALUES (:integration_id, :account_id, :team_id, :label, :plan, :status, :version, :history, :history_from,
        :added_at, :removed_at)
    ON CONFLICT (integration_id) DO UPDATE SET
        account_id = excluded.account_id, team_id = excluded.team_id, label = excluded.label, plan = excluded.plan,
        status = excluded.status, version = excluded.version, history = excluded.history,
        history_from = excluded.history_from, added_at = excluded.added_at, removed_at = excluded.removed_at
    WHERE integrations.version < excluded.version
""")

_SAVE_OUTCOME = text("""
    INSERT INTO outcomes (reading_id, integration_id, account_id, event_id, judgements, reconciled, first_day, last_day,
        observed_at, unreconciled_days, outcome)
    VALUES (:reading_id, :integration_id, :account_id, :event_id, :judgements, :reconciled, :first_day, :last_day,
        :observed_at, :unreconciled_days, :outcome)
    ON CONFLICT (integration_id, reading_id, account_id) DO UPDATE SET event_id = excluded.event_id,
        judgements = excluded.judgements, reconciled = excluded.reconciled, first_day = excluded.first_day,
        last_day = excluded.last_day, observed_at = excluded.observed_at,
        unreconciled_days = excluded.unreconciled_days, outcome = excluded.outcome
""")

_CHECKSUM = text("""
    SELECT days.*, revisions.*, outcomes.* FROM
    (SELECT count(*) AS days, coalesce(sum(usd), 0) AS usd, coalesce(sum(hashtextextended(concat_ws('|', integration_id, day,
        account_id, usd, costs, reading_id, extract(epoch FROM observed_at), extract(epoch FROM said_since)), 0)::numeric), 0)
        AS checksum FROM days) days,
    (SELECT count(*) AS revisions FROM day_revisions) revisions,
    (SELECT count(*) AS windows, count(*) FILTER (WHERE reconciled) AS reconciled FROM outcomes) outcomes
""")

_KNOWN = text("""
    SELECT integration_id, day, usd, costs, observed_at FROM days
    WHERE account_id = :account_id AND day BETWEEN :first AND :last
    ORDER BY integration_id, day
""")

# A row keeps the first and the last of the readings that said the same; those between them stand in the outcomes.
_KNOWN_AS_OF = text("""
    WITH said AS (
        SELECT integration_id, day, usd, costs, said_since, observed_at FROM days
        WHERE account_id = :account_id AND day BETWEEN :first AND :last AND said_since <= :as_of
        UNION ALL
        SELECT integration_id, day, usd, costs, said_since, said_since FROM day_revisions
        WHERE account_id = :account_id AND day BETWEEN :first AND :last AND said_since <= :as_of AND said_until > :as_of
    ), read AS (
        SELECT integration_id, first_day + number AS day, max(observed_at) AS observed_at
        FROM outcomes, generate_series(0, last_day - first_day) AS number
        WHERE account_id = :account_id AND observed_at <= :as_of AND first_day <= :last AND last_day >= :first
            AND first_day + number <> ALL (unreconciled_days)
        GROUP BY 1, 2
    )
    SELECT integration_id, day, usd, costs, greatest(
        CASE WHEN said.observed_at <= :as_of THEN said.observed_at ELSE said_since END, read.observed_at) AS observed_at
    FROM said LEFT JOIN read USING (integration_id, day)
    ORDER BY integration_id, day
""")


@dataclass(frozen=True, slots=True)
class Judged:
    """A stored outcome."""

    event_id: str
    judgements: int
    reconciled: bool
    outcome: SyncCompleted


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an integration's day."""

    integration_id: UUID
    day: date
    usd: Decimal
    costs: tuple[Cost, ...]
    observed_at: datetime


async def lock_out_erasing(connection: AsyncConnection) -> None:
    """From here to the end of the transaction nothing is erased."""
    await connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": ERASING_LOCK})


async def erased(connection: AsyncConnection, ids: Iterable[UUID]) -> set[UUID]:
    """Those of `ids` that were erased; call it under `lock_out_erasing`."""
    rows = await connection.execute(
        text("SELECT integration_id FROM erased WHERE integration_id = ANY(:ids)"), {"ids": list(ids)}
    )
    return set(rows.scalars())


async def record(connection: AsyncConnection, days: Sequence[CostRecorded]) -> int:
    """Write what is newer than what stands and leave the rest; no two of `days` share a key. Answers how many it were."""
    result = await connection.exec_driver_sql(
        _RECORD,
        {
            "ids": [day.integration_id for day in days],
            "days": [day.day for day in days],
            "accounts": [day.account_id for day in days],
            "usd": [day.usd for day in days],
            "costs": [_COSTS.dump_json(day.costs).decode() for day in days],
            "readings": [day.reading_id for day in days],
            "observed": [day.observed_at for day in days],
        },
    )
    return result.rowcount


async def standing(connection: AsyncConnection, window: WindowRead) -> dict[date, Standing]:
    """What stands of the window's days."""
    rows = await connection.execute(
        text("""SELECT day, usd, reading_id, observed_at FROM days
                WHERE integration_id = :integration_id AND account_id = :account_id
                AND day BETWEEN :first_day AND :last_day"""),
        _place(window),
    )
    return {row.day: Standing(row.usd, row.reading_id, row.observed_at) for row in rows}


async def days_changed(connection: AsyncConnection, window: WindowRead) -> int:
    """How many days the reading changed that had said something else before."""
    count: int = (
        await connection.execute(
            text("""SELECT count(*) FROM day_revisions
                    WHERE integration_id = :integration_id AND account_id = :account_id
                    AND day BETWEEN :first_day AND :last_day AND replaced_by = :reading_id"""),
            _place(window) | {"reading_id": window.reading_id},
        )
    ).scalar_one()
    return count


def _place(window: WindowRead) -> dict[str, object]:
    return window.model_dump(include={"integration_id", "account_id", "first_day", "last_day"})


async def judged(connection: AsyncConnection, window: WindowRead) -> Judged | None:
    """What was said of the window before."""
    rows = await connection.execute(
        text("""SELECT event_id, judgements, reconciled, outcome FROM outcomes
                WHERE integration_id = :integration_id AND reading_id = :reading_id AND account_id = :account_id"""),
        window.model_dump(include={"integration_id", "reading_id", "account_id"}),
    )
    row = rows.one_or_none()
    if row is None:
        return None
    return Judged(row.event_id, row.judgements, row.reconciled, SyncCompleted.model_validate_json(row.outcome))


async def save_judged(connection: AsyncConnection, judged: Judged) -> None:
    outcome = judged.outcome
    await connection.execute(
        _SAVE_OUTCOME,
        {
            "reading_id": outcome.reading_id,
            "integration_id": outcome.integration_id,
            "account_id": outcome.account_id,
            "first_day": outcome.first_day,
            "last_day": outcome.last_day,
            "observed_at": outcome.observed_at,
            "unreconciled_days": list(outcome.unreconciled_days),
            "event_id": judged.event_id,
            "judgements": judged.judgements,
            "reconciled": judged.reconciled,
            "outcome": outcome.model_dump_json(),
        },
    )


async def save_integration(connection: AsyncConnection, state: IntegrationState) -> None:
    """Keep the newest version."""
    fields = state.model_dump(exclude={"status_code", "credential_version", "changed_at"})
    await connection.execute(_SAVE_INTEGRATION, fields)


async def erase(connection: AsyncConnection, integration_id: UUID) -> None:
    """Delete all that is known of the integration's costs, for ever; waits for the batches in hand."""
    await connection.execute(text("SELECT erase_integration(:id)"), {"id": integration_id})


async def expectations(connection: AsyncConnection, account_id: str) -> list[Expectation]:
    """Which days each of the account's integrations is expected to cover; those whose history was erased are none."""
    rows = await connection.execute(
        text("""SELECT integration_id, history_from, removed_at, added_at FROM integrations
                WHERE account_id = :account_id AND history IS DISTINCT FROM 'erase' ORDER BY integration_id"""),
        {"account_id": account_id},
    )
    return [Expectation(row.integration_id, row.history_from, row.removed_at, row.added_at) for row in rows]


async def known(
    connection: AsyncConnection, account_id: str, first: date, last: date, as_of: datetime | None
) -> list[Known]:
    """What is known of the account's days, both included; with `as_of` what was believed at that instant."""
    values = {"account_id": account_id, "first": first, "last": last}
    rows = await connection.execute(*((_KNOWN_AS_OF, values | {"as_of": as_of}) if as_of else (_KNOWN, values)))
    return [
        Known(row.integration_id, row.day, row.usd, _COSTS.validate_python(row.costs), row.observed_at) for row in rows
    ]


async def checksum(connection: AsyncConnection) -> dict[str, str]:
    """What the ledger holds, in figures that do not depend on how it came there: days, their sum, and a sum over all rows."""
    row = (await connection.execute(_CHECKSUM)).one()
    return {name: str(value) for name, value in row._mapping.items()}  # noqa: SLF001 - a row's public mapping has this name
