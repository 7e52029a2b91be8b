"""Where the figures of a day come from: readings, what they replaced, and what readings left out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store.days import RESTATED

MAX_BYTES = 1_000_000
"""Of the former costs that are read at once; one day's are read whole, however large."""

_DAYS = text(f"""
    SELECT d.integration_id, d.day, d.usd, d.observed_at, {RESTATED} AS restated
    FROM days d WHERE d.account_id = :account_id AND d.day BETWEEN :first AND :last AND d.integration_id = ANY(:ids)
""")  # noqa: S608 - only constants are put in

_LEFT_OUT = text("""
    SELECT DISTINCT ON (o.integration_id, day) o.integration_id, day, o.observed_at,
        coalesce(jsonb_exists(CAST(o.outcome AS jsonb) -> 'questioned_days', CAST(day AS text)), false) AS questioned
    FROM outcomes o, unnest(o.unreconciled_days) AS day
    WHERE o.integration_id = ANY(:ids) AND o.account_id = :account_id AND o.unreconciled_days <> '{}'
        AND day BETWEEN :first AND :last
    ORDER BY o.integration_id, day, o.observed_at DESC, o.reading_id
""")

_DAY = text("""
    SELECT usd, costs_of(labels_id, amounts) AS costs, reading_id, observed_at, said_since AS valid_from
    FROM days WHERE integration_id = :integration_id AND day = :day AND account_id = :account_id
""")

_READINGS = text("""
    SELECT reading_id, observed_at, first_day, last_day, reconciled, answers, stored_at,
        CAST(outcome AS jsonb) ->> 'trigger' AS trigger, CAST(outcome AS jsonb) -> 'request_ids' AS request_ids
    FROM outcomes WHERE integration_id = :integration_id AND reading_id = ANY(:readings) AND account_id = :account_id
""")

# The rows of a page are found by their keys; only theirs are measured. Values that follow each other have no gap.
_REVISIONS = text("""
    SELECT * FROM (
        SELECT page.*, coalesce((
            SELECT n.usd FROM day_revisions n WHERE n.integration_id = page.integration_id AND n.day = page.day
                AND n.account_id = page.account_id AND n.said_since > page.valid_from ORDER BY n.said_since LIMIT 1
        ), (
            SELECT d.usd FROM days d WHERE d.integration_id = page.integration_id AND d.day = page.day
                AND d.account_id = page.account_id
        )) AS new_usd, count(*) OVER () AS found, row_number() OVER newest_first AS number,
            sum(octet_length(CAST(costs AS text))) OVER newest_first AS bytes
        FROM (
            SELECT integration_id, day, account_id, usd, costs_of(labels_id, amounts) AS costs, reading_id,
                said_since AS valid_from, said_until AS valid_to, replaced_by
            FROM day_revisions
            WHERE account_id = :account_id AND integration_id = ANY(:ids) AND day BETWEEN :first AND :last
                AND (CAST(:valid_to AS timestamptz) IS NULL
                    OR (said_until, integration_id, day) < (:valid_to, CAST(:before_id AS uuid), CAST(:before_day AS date)))
            ORDER BY said_until DESC, integration_id DESC, day DESC LIMIT :limit
        ) AS page
        WINDOW newest_first AS (ORDER BY valid_to DESC, integration_id DESC, day DESC ROWS UNBOUNDED PRECEDING)
    ) AS measured WHERE number = 1 OR bytes <= :bytes ORDER BY number
""")


@dataclass(frozen=True, slots=True)
class Days:
    """Days of some integrations of an account."""

    account_id: str
    ids: Sequence[UUID]
    first: date
    last: date
    """Included, like `first`."""


@dataclass(frozen=True, slots=True)
class ReadDay:
    """A day that an integration has read."""

    usd: Decimal
    observed_at: datetime
    restated: bool
    """What a reading reported of it after its end has been replaced since."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The newest reading of a day's window that did not bring the day."""

    observed_at: datetime
    questioned: bool
    """It reported much less of the day than before, or absurdly much; otherwise the day did not arrive whole."""


Key = tuple[UUID, date]
Place = tuple[datetime, UUID, date]
"""Of a revision among others: when it was replaced, and of what day it is; every revision has another."""


async def read_days(connection: AsyncConnection, days: Days) -> dict[Key, ReadDay]:
    """The days that were read."""
    rows = await connection.execute(_DAYS, _parameters(days))
    return {(row.integration_id, row.day): ReadDay(row.usd, row.observed_at, row.restated) for row in rows}


async def left_out(connection: AsyncConnection, days: Days) -> dict[Key, LeftOut]:
    """The days that a reading of their window left out, whether they were read before or after it or never."""
    rows = await connection.execute(_LEFT_OUT, _parameters(days))
    return {(row.integration_id, row.day): LeftOut(row.observed_at, row.questioned) for row in rows}


async def revisions(
    connection: AsyncConnection, days: Days, before: Place | None, limit: int
) -> tuple[list[RowMapping], bool]:
    """Former costs, the last replaced first: those after the place `before`, at most `limit` and MAX_BYTES; are there more."""
    valid_to, before_id, before_day = before or (None, None, None)
    place = {"valid_to": valid_to, "before_id": before_id, "before_day": before_day}
    parameters = _parameters(days) | place | {"limit": limit + 1, "bytes": MAX_BYTES}
    rows = list((await connection.execute(_REVISIONS, parameters)).mappings())
    return rows[:limit], bool(rows) and rows[0]["found"] > len(rows[:limit])


async def day_of(connection: AsyncConnection, account_id: str, integration_id: UUID, day: date) -> RowMapping | None:
    """The integration's day as it is stored; None: it was not read."""
    key = {"account_id": account_id, "integration_id": integration_id, "day": day}
    return (await connection.execute(_DAY, key)).mappings().one_or_none()


async def readings(
    connection: AsyncConnection, account_id: str, integration_id: UUID, ids: Collection[UUID]
) -> dict[UUID, RowMapping]:
    """What is known of the readings `ids`; of one whose end has not arrived, nothing."""
    key = {"account_id": account_id, "integration_id": integration_id, "readings": list(ids)}
    rows = (await connection.execute(_READINGS, key)).mappings()
    return {row["reading_id"]: row for row in rows}


def _parameters(days: Days) -> dict[str, object]:
    return {"account_id": days.account_id, "ids": list(days.ids), "first": days.first, "last": days.last}
