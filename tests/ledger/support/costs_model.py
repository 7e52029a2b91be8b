"""The answer with daily costs as it was before Postgres made its text: slow, and what a reader would write first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from contract.messages import Cost
from contract.money import total
from contract.rules import ends_at, is_provisional
from ledger.domain import Expectation, covers, days_of, expected_days
from ledger.schemas import Costs, DayCosts, ModelCost

from tests.ledger.support.ledger import LedgerHarness
from tests.support.messages import ACCOUNT

_AS_OF = """
    WITH valid AS (
        SELECT integration_id, day, usd, costs_of(labels_id, amounts) AS costs, said_since, observed_at FROM days
        WHERE account_id = :account_id AND day BETWEEN :first AND :last AND said_since <= :as_of
        UNION ALL
        SELECT integration_id, day, usd, costs_of(labels_id, amounts) AS costs, said_since, said_since FROM day_revisions
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
"""
_NOW = """
    SELECT integration_id, day, usd, costs_of(labels_id, amounts) AS costs, observed_at FROM days
    WHERE account_id = :account_id AND day BETWEEN :first AND :last ORDER BY integration_id, day
"""
_EXPECTED = """
    SELECT integration_id, history_from, removed_at, added_at, duplicate FROM integrations
    WHERE account_id = :account_id AND history IS DISTINCT FROM 'erase' ORDER BY integration_id
"""


@dataclass(frozen=True, slots=True)
class _IntegrationDay:
    integration_id: UUID
    day: date
    usd: Decimal
    costs: tuple[Cost, ...]
    observed_at: datetime
    restated: bool


_REVISIONS = """
    SELECT integration_id, day, said_since AS valid_from, said_until AS valid_to FROM day_revisions WHERE account_id = :account_id
"""


async def costs_of_account(
    ledger: LedgerHarness,
    now: datetime,
    first: date,
    last: date,
    integration_id: UUID | None = None,
    as_of: datetime | None = None,
) -> Costs | None:
    """None: the account has no such integration."""
    expected, stored = await _tables(ledger, first, last, as_of)
    left_out = {one.integration_id for one in expected if one.is_duplicate and integration_id is None}
    expected = [one for one in expected if one.integration_id not in left_out]
    stored = [one for one in stored if one.integration_id not in left_out]
    if integration_id is not None:
        expected = [one for one in expected if one.integration_id == integration_id]
        stored = [one for one in stored if one.integration_id == integration_id]
        if not expected and not stored:
            return None
    at = min(as_of, now) if as_of else now
    added = {one.integration_id for one in expected if one.added_at <= at}
    return Costs(
        integrations=len(added | {one.integration_id for one in stored}),
        days=[_day(day, [one for one in stored if one.day == day], expected, at) for day in days_of(first, last)],
        next_cursor=None,
    )


async def _tables(
    ledger: LedgerHarness, first: date, last: date, as_of: datetime | None
) -> tuple[list[Expectation], list[_IntegrationDay]]:
    parameters: dict[str, Any] = {"account_id": ACCOUNT, "first": first, "last": last}
    query = (_AS_OF, parameters | {"as_of": as_of}) if as_of else (_NOW, parameters)
    expected = [Expectation(*row) for row in await ledger.sql(_EXPECTED, account_id=ACCOUNT)]
    restated = {
        (row.integration_id, row.day)
        for row in await ledger.sql(_REVISIONS, account_id=ACCOUNT)
        if row.valid_from >= ends_at(row.day) and (as_of is None or row.valid_to <= as_of)
    }
    stored = [
        _IntegrationDay(
            row.integration_id,
            row.day,
            row.usd,
            tuple(Cost.model_validate(cost) for cost in row.costs),
            row.observed_at,
            (row.integration_id, row.day) in restated,
        )
        for row in await ledger.sql(query[0], **query[1])
    ]
    return expected, stored


def _day(day: date, stored: Sequence[_IntegrationDay], expected: Sequence[Expectation], at: datetime) -> DayCosts:
    expected_ids = [one.integration_id for one in expected if _is_expected(one, day, at)]
    read = {one.integration_id for one in stored if covers(day, one.observed_at, at.date())}
    missing = [one for one in expected_ids if one not in read]
    return DayCosts(
        day=day,
        covered=bool(expected_ids) and not missing,
        provisional=any(is_provisional(day, one.observed_at) for one in stored),
        restated=any(one.restated for one in stored),
        usd=total(one.usd for one in stored) if stored else None,
        missing=missing,
        models=[
            ModelCost(integration_id=one.integration_id, **cost.model_dump()) for one in stored for cost in one.costs
        ],
    )


def _is_expected(expectation: Expectation, day: date, at: datetime) -> bool:
    first, last = expected_days(expectation, at) or (date.max, date.min)
    return first <= day <= last
