"""The routes of history: which days were read, what changed, and where the figures of a day come from."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from common.database import Database, pipelined
from common.http.openapi import answers
from contract.fields import AccountId, rfc3339
from contract.money import total
from contract.problems import Code, ProblemError
from fastapi import APIRouter, Header, Query
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.api import CACHED, CACHING, READ, QueryDay, matches
from ledger.daily_costs import prepare
from ledger.domain import MAX_DAYS, days_of
from ledger.history import answers as build
from ledger.history.schemas import Coverage, IntegrationCoverage, IntegrationDay, LifeOfADay, Revision, Revisions
from ledger.pages import CURSOR, Page
from ledger.store import history, sums
from ledger.store.costs import Selection
from ledger.store.history import Days, Place

MAX_ROWS = 2000
"""Days of integrations on a page of coverage, but at least one day of all of them."""
MAX_REVISIONS = 100
MAX_INTEGRATIONS = 20
"""On a page with the life of a day."""
MAX_FORMER = 10
"""Former values of an integration's day that are answered with it."""
MAX_BYTES = 1_000_000
"""After which a page with the life of a day ends."""
_PLACE = r"^2\d{3}-[0-9T:.-]+Z_[0-9a-f-]{36}_2\d{3}-\d{2}-\d{2}$"

First = Annotated[QueryDay | None, Query(alias="from")]
Last = Annotated[QueryDay | None, Query(alias="to")]
IfNoneMatch = Annotated[str, Header(alias="If-None-Match")]


class HistoryRoutes:
    """The routes; `clock` returns the current instant (aware, UTC), `database` is for reading."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def router(self) -> APIRouter:
        """All of them, in one table."""
        router = APIRouter(prefix="/v1/accounts/{account_id}", responses=answers(), dependencies=READ)
        for path, name, model, route in (
            ("/coverage", "get_coverage", Coverage, self.coverage),
            ("/revisions", "get_revisions", Revisions, self.revisions),
            ("/days/{day}", "get_day", LifeOfADay, self.day),
        ):
            router.get(path, operation_id=name, response_model=model, responses=CACHED)(route)
        return router

    async def coverage(  # noqa: PLR0917 - one for each parameter of the request
        self,
        account_id: AccountId,
        first: First = None,
        last: Last = None,
        integration_id: UUID | None = None,
        limit: Annotated[int | None, Query(ge=1, le=MAX_DAYS)] = None,
        cursor: Annotated[str | None, Query(pattern=CURSOR)] = None,
        if_none_match: IfNoneMatch = "",
    ) -> Response:
        """Which days were read, and when; by default of the last 30 days.

        `limit`: days of a page, which may have fewer; `cursor`: as for the costs.
        """
        now = self._clock()
        page = Page.of(first, last, cursor, now.date()).limited(limit)
        async with self._database.transaction() as connection:
            days, expected = await _days(connection, account_id, (page.first, page.last), integration_id, now)
            page = page.limited(max(1, MAX_ROWS // max(1, len(days.ids))))
            days = replace(days, last=page.last)
            read = await history.read_days(connection, days)
            left_out = await history.left_out(connection, days)
        rows = [build.day_coverage(day, expected, read, left_out, now.date()) for day in days_of(page.first, page.last)]
        return _answer(Coverage(days=rows, next_cursor=page.next_cursor), if_none_match)

    async def revisions(  # noqa: PLR0917 - as above
        self,
        account_id: AccountId,
        first: First = None,
        last: Last = None,
        integration_id: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=MAX_REVISIONS)] = MAX_REVISIONS,
        cursor: Annotated[str | None, Query(pattern=_PLACE)] = None,
        if_none_match: IfNoneMatch = "",
    ) -> Response:
        """What the days were before a reading with other costs, the last change first; by default of the last 30 days.

        `limit`: changes of a page, which may have fewer; `cursor`: the `next_cursor` of the page before, with the same
        other parameters.
        """
        now = self._clock()
        page = Page.of(first, last, None, now.date())
        before = _parsed(cursor) if cursor else None
        async with self._database.transaction() as connection:
            days, _ = await _days(connection, account_id, (page.first, page.last), integration_id, now)
            rows, more = await history.revisions(connection, days, before, limit)
        found = [Revision.model_validate(row) for row in rows]
        next_cursor = _place(found[-1]) if more else None
        return _answer(Revisions(revisions=found, next_cursor=next_cursor), if_none_match)

    async def day(
        self,
        account_id: AccountId,
        day: QueryDay,
        integration_id: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=MAX_INTEGRATIONS)] = MAX_INTEGRATIONS,
        cursor: UUID | None = None,
        if_none_match: IfNoneMatch = "",
    ) -> Response:
        """Where the figures of a day come from: readings, their windows and requests, hashes of xAI's answers.

        `limit`: integrations of a page, which may have fewer; `cursor`: the `next_cursor` of the page before.
        """
        now = self._clock()
        async with self._database.transaction() as connection:
            days, expected = await _days(connection, account_id, (day, day), integration_id, now)
            read = await history.read_days(connection, days)
            left_out = await history.left_out(connection, days)
            coverage = build.day_coverage(day, expected, read, left_out, now.date())
            left = [one for one in coverage.integrations if cursor is None or one.integration_id > cursor]
            shown: list[IntegrationDay] = []
            size = 0
            while len(shown) < min(limit, len(left)) and size < MAX_BYTES:
                shown.append(await _life(connection, account_id, day, left[len(shown)]))
                size += len(shown[-1].model_dump_json())
        life = LifeOfADay(
            day=day,
            covered=coverage.covered,
            usd=total(one.usd for one in read.values()) if read else None,
            integrations=shown,
            next_cursor=shown[-1].integration_id if len(shown) < len(left) else None,
        )
        return _answer(life, if_none_match)


async def _days(
    connection: AsyncConnection, account_id: str, span: tuple[date, date], only: UUID | None, now: datetime
) -> tuple[Days, build.Expected]:
    """The first statements of a transaction: the integrations that an answer is about, and the days expected of each."""
    await sums.one_view(connection)
    async with pipelined(connection) as pipeline:
        known = await prepare(pipeline, Selection(account_id, *span, only), now, None)
    return Days(account_id, sorted(known.expected.keys() | known.versions.keys()), *span), known.expected


async def _life(
    connection: AsyncConnection, account_id: str, day: date, coverage: IntegrationCoverage
) -> IntegrationDay:
    integration_id = coverage.integration_id
    stored = await history.day_of(connection, account_id, integration_id, day)
    former, _ = await history.revisions(connection, Days(account_id, [integration_id], day, day), None, MAX_FORMER)
    ids = [row["reading_id"] for row in (stored, *former) if row]
    readings = await history.readings(connection, account_id, integration_id, ids)
    return build.integration_day(coverage, stored, former, readings)


def _answer(content: BaseModel, if_none_match: str) -> Response:
    """The answer, or a 304 where the client has it."""
    body = content.model_dump_json().encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = CACHING | {"ETag": etag}
    if matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _place(revision: Revision) -> str:
    return f"{rfc3339(revision.valid_to)}_{revision.integration_id}_{revision.day}"


def _parsed(cursor: str) -> Place:
    """Raises ProblemError where `_place` cannot have written it."""
    valid_to, integration_id, day = cursor.split("_")
    try:
        return datetime.fromisoformat(valid_to), UUID(integration_id), date.fromisoformat(day)
    except ValueError:
        raise ProblemError(Code.REQUEST_MALFORMED, "cursor must be the next_cursor of the page before.") from None
