"""The read side: an account's costs by day, now or as known at an earlier instant."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from contract.messages import Cost
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store.days import COSTS

_NOW = text("""
    SELECT integration_id, day, usd, costs, observed_at FROM days
    WHERE account_id = :account_id AND day BETWEEN :first AND :last
    ORDER BY integration_id, day
""")

# A row has the first and the last of the equal readings; the ones between them are in the outcomes.
_AS_OF = text("""
    WITH valid AS (
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
        CASE WHEN valid.observed_at <= :as_of THEN valid.observed_at ELSE said_since END, read.observed_at)
        AS observed_at
    FROM valid LEFT JOIN read USING (integration_id, day)
    ORDER BY integration_id, day
""")


@dataclass(frozen=True, slots=True)
class IntegrationDay:
    """The costs of one UTC day of an integration."""

    integration_id: UUID
    day: date
    usd: Decimal
    costs: tuple[Cost, ...]
    observed_at: datetime


async def integration_days(
    connection: AsyncConnection, account_id: str, first: date, last: date, as_of: datetime | None
) -> list[IntegrationDay]:
    """The account's stored days from `first` to `last`, both included; with `as_of` as they were known then."""
    range_ = {"account_id": account_id, "first": first, "last": last}
    rows = await connection.execute(*((_AS_OF, range_ | {"as_of": as_of}) if as_of else (_NOW, range_)))
    return [
        IntegrationDay(row.integration_id, row.day, row.usd, COSTS.validate_python(row.costs), row.observed_at)
        for row in rows
    ]
