"""The routes of the ledger."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Self
from uuid import UUID

from common.database import Database
from common.http.openapi import Responses, answers
from common.http.tokens import needs
from contract.fields import AccountId, Day, Instant
from contract.problems import Code, ProblemError
from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import Field

from ledger.daily_costs import prepare
from ledger.domain import MAX_DAYS, is_range
from ledger.schemas import Costs
from ledger.store.costs import CostsBy, Selection

READ = [Depends(needs("costs:read"))]
DEFAULT_DAYS = 30
CACHING = {"Cache-Control": "private, no-cache"}
"""A client may keep an answer, and has to ask whether it has changed."""
QueryDay = Annotated[Day, Field(ge=date(2000, 1, 1), le=date(2999, 12, 31))]
"""A UTC day, far enough from the ends of the calendar to count from it."""

_ETAG: dict[str, Any] = {"ETag": {"description": "For `If-None-Match`.", "schema": {"type": "string"}}}
CACHED: Responses = {
    200: {"headers": _ETAG},
    304: {"description": "Nothing has changed since the answer with this ETag.", "headers": _ETAG},
}


@dataclass(frozen=True, slots=True)
class _Pages:
    """The days of one page, and the last day of all pages."""

    first: date
    last: date
    end: date

    @classmethod
    def of(cls, first: date, end: date, limit: int | None) -> Self:
        return cls(first, min(end, first + timedelta(days=limit - 1)) if limit else end, end)

    @property
    def next_cursor(self) -> str | None:
        return f"{self.last + timedelta(days=1)}.{self.end}" if self.last < self.end else None


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
        cursor: Annotated[str | None, Query(pattern=r"^2\d{3}-\d{2}-\d{2}\.2\d{3}-\d{2}-\d{2}$")] = None,
        if_none_match: Annotated[str, Header(alias="If-None-Match")] = "",
    ) -> Response:
        """Costs by day and label, or `by=model`; both days included, by default the last 30.

        `as_of`: as known at that instant. `limit`: days of a page; `cursor`: the `next_cursor` of the page before, which
        replaces `from` and `to`; the other parameters are repeated.
        """
        now = self._clock()
        pages = _Pages.of(*(_resume(cursor, first, last) if cursor else _range(first, last, now.date())), limit)
        selection = Selection(account_id, pages.first, pages.last, integration_id, as_of=as_of, by=by)
        async with self._database.transaction() as connection:
            answer = await prepare(connection, selection, now, pages.next_cursor)
            if integration_id is not None and not answer.exists:
                raise ProblemError(Code.NOT_FOUND, "The account has no such integration.")
            headers = CACHING | {"ETag": answer.etag}
            if matches(if_none_match, answer.etag):
                return Response(status_code=304, headers=headers)
            first_part = await answer.first_part(connection)
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


def _range(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    last = last or max(today, first or today)
    first = first or last - timedelta(days=DEFAULT_DAYS - 1)
    if not is_range(first, last):
        raise ProblemError(
            Code.REQUEST_MALFORMED, f"from must not be after to, and a request covers at most {MAX_DAYS} days."
        )
    return first, last


def _resume(cursor: str, first: date | None, last: date | None) -> tuple[date, date]:
    """The days that a cursor names; `first` and `last` may be those of the first page."""
    try:
        start, end = (date.fromisoformat(day) for day in cursor.split("."))
    except ValueError:
        start, end = date.max, date.min
    if not is_range(start, end) or (first or start) > start or (last or end) != end:
        raise ProblemError(Code.REQUEST_MALFORMED, "cursor must be the next_cursor of a page of the same days.")
    return start, end
