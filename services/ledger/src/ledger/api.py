"""The routes of the ledger."""

from collections.abc import Callable, Collection
from datetime import date, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from common.database import Database
from common.http.openapi import answers
from common.http.tokens import needs
from contract.fields import AccountId, Day, Instant
from contract.messages import Cost
from contract.money import Usd, total
from contract.problems import Code, ProblemError
from contract.rules import is_provisional
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from ledger.domain import MAX_DAYS, Expectation, covers, days_of, is_expected, is_range
from ledger.store import integrations
from ledger.store.costs import IntegrationDay, integration_days

READ = [Depends(needs("costs:read"))]
DEFAULT_DAYS = 30
QueryDay = Annotated[Day, Field(ge=date(2000, 1, 1), le=date(2999, 12, 31))]
"""A UTC day, far enough from the ends of the calendar to count from it."""


class _Schema(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class ModelCost(_Schema):
    """The cost of one label."""

    integration_id: UUID
    label: str
    product: str | None
    model: str
    usd: Usd


class DayCosts(_Schema):
    """One UTC day."""

    day: date
    covered: bool
    """At least one integration is expected to have the day, and each has it, read after the day's end (today: ever)."""
    provisional: bool
    """It may still change: read less than 7 days after its end."""
    usd: Usd | None
    """Sum of what is known; null where nothing is."""
    missing: list[UUID]
    """Integrations that are expected to have the day, but do not."""
    models: list[ModelCost]


class Costs(_Schema):
    """A row for every requested day."""

    currency: Literal["USD"] = "USD"
    integrations: int
    """Whose costs are shown, removed ones that kept them included; 0: the account has connected no team."""
    days: list[DayCosts]


class Routes:
    """The routes; `clock` returns the current instant (aware, UTC)."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def router(self) -> APIRouter:
        """All of them, in one table."""
        router = APIRouter(prefix="/v1/accounts/{account_id}", responses=answers())
        router.get("/costs", operation_id="get_costs", dependencies=READ)(self.costs)
        return router

    async def costs(
        self,
        account_id: AccountId,
        first: Annotated[QueryDay | None, Query(alias="from")] = None,
        last: Annotated[QueryDay | None, Query(alias="to")] = None,
        integration_id: UUID | None = None,
        as_of: Instant | None = None,
    ) -> Costs:
        """Costs by day and model; both days included, by default the last 30. `as_of`: as known at that instant."""
        now = self._clock()
        first, last = _range(first, last, now.date())
        async with self._database.transaction() as connection:
            expected = await integrations.expectations(connection, account_id)
            stored = await integration_days(connection, account_id, first, last, as_of)
        left_out = {one.integration_id for one in expected if one.is_duplicate and integration_id is None}
        expected = [one for one in expected if _is_shown(one.integration_id, integration_id, left_out)]
        stored = [one for one in stored if _is_shown(one.integration_id, integration_id, left_out)]
        if integration_id is not None and not expected and not stored:
            raise ProblemError(Code.NOT_FOUND, "The account has no such integration.")
        at = min(as_of, now) if as_of else now
        by_day: dict[date, list[IntegrationDay]] = {}
        for one in stored:
            by_day.setdefault(one.day, []).append(one)
        return Costs(
            integrations=_count(expected, stored, at),
            days=[_day(day, by_day.get(day, []), expected, at) for day in days_of(first, last)],
        )


def _is_shown(one: UUID, wanted: UUID | None, left_out: Collection[UUID]) -> bool:
    """An account's second integration of a team is shown only where it is named."""
    return one == wanted if wanted else one not in left_out


def _count(expected: list[Expectation], stored: list[IntegrationDay], at: datetime) -> int:
    added = {one.integration_id for one in expected if one.added_at <= at}
    return len(added | {one.integration_id for one in stored})


def _range(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    last = last or max(today, first or today)
    first = first or last - timedelta(days=DEFAULT_DAYS - 1)
    if not is_range(first, last):
        raise ProblemError(
            Code.REQUEST_MALFORMED, f"from must not be after to, and a request covers at most {MAX_DAYS} days."
        )
    return first, last


def _day(day: date, stored: list[IntegrationDay], expected: list[Expectation], at: datetime) -> DayCosts:
    expected_ids = [one.integration_id for one in expected if is_expected(one, day, at)]
    read = {one.integration_id for one in stored if covers(day, one.observed_at, at.date())}
    missing = [one for one in expected_ids if one not in read]
    return DayCosts(
        day=day,
        covered=bool(expected_ids) and not missing,
        provisional=any(is_provisional(day, one.observed_at) for one in stored),
        usd=total(one.usd for one in stored) if stored else None,
        missing=missing,
        models=[_model(one.integration_id, cost) for one in stored for cost in one.costs],
    )


def _model(integration_id: UUID, cost: Cost) -> ModelCost:
    return ModelCost(integration_id=integration_id, **cost.model_dump())
