"""Exports an account's costs: the figures that are on screen, row by row, a day in memory at a time."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Annotated

from common.database import Database
from common.http.openapi import answers
from contract.fields import rfc3339
from contract.money import plain, total
from contract.problems import Code, ProblemError
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from starlette import types

from ledger.api import READ
from ledger.domain import covers
from ledger.figures import days_in
from ledger.reports.api import Asked, asked, question_of
from ledger.reports.columns import COVERAGE, CSV_COLUMNS, FOCUS_COVERAGE, JSON_COLUMNS, Format, Profile, focus_columns
from ledger.store import exports, sums
from ledger.store.exports import Columns
from ledger.store.sums import Question

CONTENT_TYPES = {
    Format.CSV: "text/csv; charset=utf-8; header=present",
    Format.FOCUS: "text/csv; charset=utf-8; header=present",
    Format.JSON: "application/json",
    Format.NDJSON: "application/x-ndjson",
}
MISSING_DAYS = "Grafient-Missing-Days"
"""Header: days of the export that are not covered, separated by commas; they have no rows, or not those of every team."""


class File(StrEnum):
    """Which of the two files of an export."""

    COSTS = "costs"
    """A row for each label of each day that was read."""
    COVERAGE = "coverage"
    """A row for each day that an integration is expected to have: read or not, and when."""


class _OneAtATime(StreamingResponse):
    """Raises ProblemError (`too_many_requests`) where an export of the same token and account is running."""

    def __init__(
        self, running: set[str], owner: str, rows: AsyncIterator[bytes], media_type: str, headers: dict[str, str]
    ) -> None:
        super().__init__(rows, media_type=media_type, headers=headers)
        if owner in running:
            problem = "An export of this account is running with this token: wait for its end."
            raise ProblemError(Code.TOO_MANY_REQUESTS, problem, headers={"Retry-After": "5"})
        running.add(owner)
        self._ended = partial(running.discard, owner)

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


class Exports:
    """The route; `clock` returns the current instant (aware, UTC)."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._running: set[str] = set()

    def router(self) -> APIRouter:
        """The route, in one table with the others."""
        router = APIRouter(prefix="/v1/accounts/{account_id}", responses=answers())
        router.get(
            "/export",
            operation_id="export_costs",
            dependencies=READ,
            response_class=StreamingResponse,
            responses={200: {"description": "The file.", "content": {kind: {} for kind in CONTENT_TYPES.values()}}},
        )(self.export)
        return router

    async def export(
        self,
        request: Request,
        asked: Annotated[Asked, Depends(asked)],
        kind: Annotated[Format, Query(alias="format")] = Format.CSV,
        profile: Profile = Profile.V1_4,
        file: File = File.COSTS,
    ) -> StreamingResponse:
        """The costs of a period, or of `from` to `to`, as a file; one at a time for a token and account.

        A day that was not read has no row: the header `Grafient-Missing-Days` names it, and `file=coverage` lists all.
        """
        async with self._database.transaction() as connection:
            question = await question_of(connection, asked, self._clock())
            figures = await sums.day_figures(connection, question)
        missing = [one.day for one in days_in(question.span, figures) if not one.covered]
        if file is File.COVERAGE:
            rows, kind = self._coverage(question, FOCUS_COVERAGE if kind is Format.FOCUS else COVERAGE), Format.CSV
        elif kind is Format.JSON:
            rows = self._json(question, missing)
        elif kind is Format.NDJSON:
            rows = self._ndjson(question)
        else:
            rows = self._csv(question, focus_columns(profile) if kind is Format.FOCUS else CSV_COLUMNS)
        suffix = "csv" if kind is Format.FOCUS else kind.value
        name = f"{file}-{question.span.first}-{question.span.last}.{suffix}"
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            MISSING_DAYS: ", ".join(map(str, missing)),
            "Cache-Control": "no-store",
        }
        owner = f"{request.state.token.token_id} {question.account_id}"
        return _OneAtATime(self._running, owner, rows, CONTENT_TYPES[kind], headers)

    async def _csv(self, question: Question, columns: Columns) -> AsyncIterator[bytes]:
        yield _line(list(columns))
        for day in question.span:
            async with self._database.transaction() as connection:
                rows = await exports.csv_rows(connection, columns, question, day)
            if rows:
                yield rows

    async def _ndjson(self, question: Question) -> AsyncIterator[bytes]:
        for day in question.span:
            rows, _ = await self._objects(question, day)
            if rows:
                yield "".join(f"{row}\n" for row in rows).encode()

    async def _json(self, question: Question, missing: Sequence[date]) -> AsyncIterator[bytes]:
        span, amounts, separator = question.span, [Decimal(0)], ""
        yield f'{{"currency": "USD", "from": "{span.first}", "to": "{span.last}", "costs": ['.encode()
        for day in span:
            rows, usd = await self._objects(question, day)
            amounts.append(usd)
            if rows:
                yield (separator + ",\n".join(rows)).encode()
                separator = ",\n"
        days = json.dumps([str(day) for day in missing])
        yield f'], "usd": "{plain(total(amounts))}", "missing_days": {days}}}\n'.encode()

    async def _objects(self, question: Question, day: date) -> tuple[Sequence[str], Decimal]:
        async with self._database.transaction() as connection:
            return await exports.json_rows(connection, JSON_COLUMNS, question, day)

    async def _coverage(self, question: Question, columns: Sequence[str]) -> AsyncIterator[bytes]:
        yield _line(columns)
        for day in question.span:
            async with self._database.transaction() as connection:
                read_at = await exports.read_at(connection, question.account_id, day)
            shown = f"{day}T00:00:00Z" if columns is FOCUS_COVERAGE else str(day)
            lines = [
                _line([shown, one, *_state(day, read_at.get(one), question.today)])
                for one, (first, last) in question.expected.items()
                if first <= day <= last
            ]
            if lines:
                yield b"".join(lines)


def _state(day: date, observed_at: datetime | None, today: date) -> tuple[str, str]:
    covered = observed_at is not None and covers(day, observed_at, today)
    return ("true" if covered else "false", rfc3339(observed_at) if observed_at else "")


def _line(cells: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
