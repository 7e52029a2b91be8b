"""The routes of reports: an account's costs over a period, added up and broken down."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from common.database import Database, pipelined
from common.http.openapi import answers
from contract.fields import AccountId
from contract.problems import Code, ProblemError
from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.api import CACHED, CACHING, READ, QueryDay, matches
from ledger.daily_costs import prepare
from ledger.domain import MAX_DAYS, is_range
from ledger.periods import Compare, Period, Span, ending
from ledger.reports import answers as build
from ledger.reports.schemas import Breakdown, Summary
from ledger.store import sums
from ledger.store.costs import Selection
from ledger.store.sums import Question

FORM = 2
"""To be raised with every change of a report's form, so that no client keeps an older one."""


class By(StrEnum):
    """What a period's costs are broken down by."""

    MODEL = "model"
    LABEL = "label"
    PRODUCT = "product"
    INTEGRATION = "integration"


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters that all reports have."""

    account_id: AccountId
    period: Period | None
    first: date | None
    last: date | None
    compare: Compare
    integration_id: UUID | None


def asked(
    account_id: AccountId,
    period: Period | None = None,
    first: Annotated[QueryDay | None, Query(alias="from")] = None,
    last: Annotated[QueryDay | None, Query(alias="to")] = None,
    compare: Compare = Compare.PREVIOUS,
    integration_id: UUID | None = None,
) -> Asked:
    """A period that ends today (default 30d), or the days `from` to `to`; what it is compared with; of one integration."""
    return Asked(account_id, period, first, last, compare, integration_id)


@dataclass(frozen=True, slots=True)
class Cache:
    """What the client has, and the headers of the answer."""

    if_none_match: Annotated[str, Header(alias="If-None-Match")] = ""

    def unchanged(self, question: Question, response: Response) -> Response | None:
        """A 304 where the client has the answer; the headers of `response` otherwise."""
        headers = CACHING | {"ETag": question.etag}
        response.headers.update(headers)
        return Response(status_code=304, headers=headers) if matches(self.if_none_match, question.etag) else None


class ReportRoutes:
    """The routes; `clock` returns the current instant (aware, UTC), `database` is for reading."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def router(self) -> APIRouter:
        """All of them, in one table."""
        router = APIRouter(prefix="/v1/accounts/{account_id}", responses=answers())
        router.get("/summary", operation_id="get_summary", dependencies=READ, response_model=Summary, responses=CACHED)(
            self.summary
        )
        router.get(
            "/breakdown",
            operation_id="get_breakdown",
            dependencies=READ,
            response_model=Breakdown,
            response_model_exclude_unset=True,  # a row has one of four members
            responses=CACHED,
        )(self.breakdown)
        return router

    async def summary(
        self, asked: Annotated[Asked, Depends(asked)], cache: Annotated[Cache, Depends()], response: Response
    ) -> Summary | Response:
        """Total, daily average, most expensive model, and the change against a span before."""
        async with self._database.transaction() as connection:
            question = await question_of(connection, asked, self._clock())
            if unchanged := cache.unchanged(question, response):
                return unchanged
            days = await sums.day_figures(connection, question)
            models = await sums.breakdown(connection, replace(question, before=question.span), By.MODEL)
            as_of = await sums.as_of(connection, question)
        return build.summary(question, days, models, as_of)

    async def breakdown(
        self,
        asked: Annotated[Asked, Depends(asked)],
        cache: Annotated[Cache, Depends()],
        response: Response,
        by: By = By.MODEL,
        *,
        daily: bool = False,
    ) -> Breakdown | Response:
        """What the period's costs are made of, dearest first, with `daily` day by day; a model is one row, whatever labels."""
        async with self._database.transaction() as connection:
            question = await question_of(connection, asked, self._clock())
            if unchanged := cache.unchanged(question, response):
                return unchanged
            days = await sums.day_figures(connection, question)
            rows = await sums.breakdown(connection, question, by, daily=daily)
        return build.breakdown(question, days, rows, by, daily=daily)


async def question_of(connection: AsyncConnection, asked: Asked, now: datetime) -> Question:
    """The first statement of a transaction; raises ProblemError where the account has not that integration."""
    span, only = _span(asked, now.date()), asked.integration_id
    finished = span.finished(now.date())
    before = (finished or span).before(asked.compare)
    await sums.one_view(connection)
    async with pipelined(connection) as pipeline:
        known = await prepare(pipeline, Selection(asked.account_id, before.first, span.last, only), now, None)
    etag = f'"{FORM}-{known.etag[1:]}'
    return Question(asked.account_id, span, finished, before, known.expected, only, known.selection.left_out, now, etag)


def _span(asked: Asked, today: date) -> Span:
    first, last = asked.first, asked.last
    if first is None and last is None:
        return ending(today, asked.period or Period.MONTH)
    if asked.period is not None or first is None or last is None or not is_range(first, last):
        raise ProblemError(
            Code.REQUEST_MALFORMED,
            f"Give period, or from and to: from must not be after to, and they cover at most {MAX_DAYS} days.",
        )
    return Span(first, last)
