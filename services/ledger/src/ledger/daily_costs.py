"""The answer with an account's daily costs, written day by day, a bounded part at a time."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby, islice
from operator import attrgetter
from uuid import UUID

from common.database import Database, Pipeline
from common.direct_connections import Driver
from contract.money import plain, total
from contract.problems import Code, ProblemError
from contract.rules import is_provisional

from ledger.domain import Expectation, covers, days_of, expected_days
from ledger.store import costs, integrations
from ledger.store.costs import IntegrationDay, Selection

ROWS_OF_A_PART = 400
"""Days of an integration that are read and sent at once: about 1 MB, and some milliseconds of the event loop."""
FORM = 3
"""To be raised with every change of the answer's form, so that no client keeps an older one."""

_JSON = {True: "true", False: "false"}


@dataclass(frozen=True, slots=True)
class DailyCosts:
    """Costs of one account, ready to be read; a day that changes meanwhile is sent as it then is, whole."""

    selection: Selection
    announced: frozenset[UUID]
    """The integrations that the account had at `at`, as far as the connector announced them."""
    expected: Mapping[UUID, tuple[date, date]]
    """First and last day that an integration is expected to cover, in the order of their IDs."""
    versions: Mapping[UUID, str]
    """Of the stored days of each integration that has some, in the order of their IDs."""
    at: datetime
    """The instant at which they were known."""
    next_cursor: str | None

    @property
    def etag(self) -> str:
        """Changes whenever the answer does; what was replaced never comes back, for readings only become newer."""
        announced = (sorted(self.announced), list(self.expected.items()))
        state = (list(self.versions.items()), announced, self.at.date())
        what = (FORM, self.selection, self.next_cursor, state)
        return f'"{hashlib.sha256(repr(what).encode()).hexdigest()[:32]}"'

    @property
    def is_one_part(self) -> bool:
        return next(self._selections()).last == self.selection.last

    async def first_part(self, driver: Driver) -> bytes:
        """The beginning of the body; all of it where `is_one_part`."""
        opening = f'{{"currency":"USD","integrations":{len(self.announced | self.versions.keys())},"days":['
        return opening.encode() + await self._part(driver, next(self._selections()))

    async def further_parts(self, database: Database) -> AsyncIterator[bytes]:
        """What follows the first part. No connection is held while a part is sent."""
        for selection in islice(self._selections(), 1, None):
            async with database.direct() as driver:
                part = await self._part(driver, selection)
            yield b"," + part

    async def _part(self, driver: Driver, selection: Selection) -> bytes:
        days = ",".join(self._days(selection, await costs.integration_days(Pipeline(driver), selection)))
        is_last = selection.last == self.selection.last
        return (f'{days}],"next_cursor":{json.dumps(self.next_cursor)}}}' if is_last else days).encode()

    def _selections(self) -> Iterator[Selection]:
        """Whole days, as many as have few enough rows together."""
        step = timedelta(days=max(1, ROWS_OF_A_PART // max(1, len(self.expected), len(self.versions))))
        first, last = self.selection.first, self.selection.last
        while first <= last:
            yield replace(self.selection, first=first, last=min(last, first + step - timedelta(days=1)))
            first += step

    def _days(self, selection: Selection, stored: Sequence[IntegrationDay]) -> Iterator[str]:
        by_day = {day: list(rows) for day, rows in groupby(stored, key=attrgetter("day"))}
        return (self._day(day, by_day.get(day, [])) for day in days_of(selection.first, selection.last))

    def _day(self, day: date, stored: Sequence[IntegrationDay]) -> str:
        expected = [one for one, (first, last) in self.expected.items() if first <= day <= last]
        today = self.at.date()
        read = {one.integration_id for one in stored if covers(day, one.observed_at, today)}
        missing = [f'"{one}"' for one in expected if one not in read]
        provisional = any(is_provisional(day, one.observed_at) for one in stored)
        restated = any(one.restated for one in stored)
        usd = f'"{plain(total(one.usd for one in stored))}"' if stored else "null"
        costs_of_day = ", ".join([one.costs for one in stored if one.costs])
        return (
            f'{{"day":"{day.isoformat()}","covered":{_JSON[bool(expected) and not missing]},"provisional":{_JSON[provisional]},'
            f'"restated":{_JSON[restated]},"usd":{usd},"missing":[{",".join(missing)}],"models":[{costs_of_day}]}}'
        )


async def prepare(pipeline: Pipeline, selection: Selection, now: datetime, next_cursor: str | None) -> DailyCosts:
    """Everything but the costs. A second integration of a team is left out, except where the selection names it.

    Raises ProblemError where it names one that the account neither has nor had.
    """
    only = selection.integration_id
    announced = await integrations.expectations(pipeline, selection.account_id)
    stored = await costs.versions(pipeline, selection)
    expected = [Expectation(**row) for row in await announced.fetchall()]
    left_out = {one.integration_id for one in expected if one.is_duplicate and only is None}
    versions = {
        row["integration_id"]: row["version"]
        for row in await stored.fetchall()
        if row["integration_id"] not in left_out
    }
    selection = replace(selection, left_out=sorted(left_out))
    shown = [one for one in expected if one.integration_id not in left_out and only in {None, one.integration_id}]
    if only is not None and not (shown or versions):
        raise ProblemError(Code.NOT_FOUND, "The account has no such integration.")
    at = min(selection.as_of, now) if selection.as_of else now
    added = frozenset(one.integration_id for one in shown if one.added_at <= at)
    spans = {one.integration_id: span for one in shown if (span := expected_days(one, at))}
    return DailyCosts(selection, added, spans, versions, at, next_cursor)
