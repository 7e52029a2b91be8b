"""The routes of the ledger."""

from collections.abc import AsyncIterator, Callable
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from common.database import Database, Pipeline
from common.http.openapi import Responses, answers
from common.http.tokens import needs
from contract.fields import AccountId, Day, Instant
from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import Field

from ledger.daily_costs import prepare
from ledger.domain import MAX_DAYS
from ledger.pages import CURSOR, Page
from ledger.schemas import Costs
from ledger.store.costs import CostsBy, Selection

READ = [Depends(needs("costs:read"))]
CACHING = {"Cache-Control": "private, no-cache"}
"""A client may keep an answer, and has to ask whether it has changed."""
QueryDay = Annotated[Day, Field(ge=date(2000, 1, 1), le=date(2999, 12, 31))]
"""A UTC day, far enough from the ends of the calendar to count from it."""

_ETAG: dict[str, Any] = {"ETag": {"description": "For `If-None-Match`.", "schema": {"type": "string"}}}
CACHED: Responses = {
    200: {"headers": _ETAG},
    304: {"description": "Nothing has changed since the answer with this ETag.", "headers": _ETAG},
}


class Routes:
    """The routes; `clock` returns the current instant (aware, UTC), `database` is for reading."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def router(self) -> APIRouter:
        """All of them, in one table."""
        router = APIRouter(prefix="/v1/accounts/{account_id}", responses=answers())
        costs = router.get(
            "/costs", operation_id="get_costs", dependencies=READ, response_model=Costs, responses=CACHED
        )
        costs(self.costs)
        return router

    async def costs(  # noqa: PLR0913, PLR0917 - one for each parameter of the request
        self,
        account_id: AccountId,
        first: Annotated[QueryDay | None, Query(alias="from")] = None,
        last: Annotated[QueryDay | None, Query(alias="to")] = None,
        integration_id: UUID | None = None,
        as_of: Instant | None = None,
        by: CostsBy = CostsBy.LABEL,
        limit: Annotated[int | None, Query(ge=1, le=MAX_DAYS)] = None,
        cursor: Annotated[str | None, Query(pattern=CURSOR)] = None,
        if_none_match: Annotated[str, Header(alias="If-None-Match")] = "",
    ) -> Response:
        """Costs by day and label, or `by=model`; both days included, by default the last 30.

        `as_of`: as known at that instant. `limit`: days of a page; `cursor`: the `next_cursor` of the page before, which
        replaces `from` and `to`; the other parameters are repeated.
        """
        now = self._clock()
        page = Page.of(first, last, cursor, now.date()).limited(limit)
        selection = Selection(account_id, page.first, page.last, integration_id, as_of=as_of, by=by)
        async with self._database.direct() as driver:
            async with driver.pipeline():
                answer = await prepare(Pipeline(driver), selection, now, page.next_cursor)
            headers = CACHING | {"ETag": answer.etag}
            if matches(if_none_match, answer.etag):
                return Response(status_code=304, headers=headers)
            first_part = await answer.first_part(driver)
        if answer.is_one_part:
            return Response(first_part, media_type="application/json", headers=headers)
        body = _chained(first_part, answer.further_parts(self._database))
        return StreamingResponse(body, media_type="application/json", headers=headers)


async def _chained(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The first part is read before the status is sent: a database that is unavailable is a 503."""
    yield first
    async for other in others:
        yield other


def matches(if_none_match: str, etag: str) -> bool:
    """Whether the client has the answer; proxies that compress it mark its ETag as weak."""
    known = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return bool(known & {etag, "*"})
