"""An integration as its pages show it: what connector and ledger answer about it, and how that is put in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from itertools import dropwhile
from uuid import UUID

from contract.fields import Trigger

from console.charts import Day
from console.schemas import Answer, Card

TRIGGERS = {
    Trigger.BACKFILL: "history",
    Trigger.DAILY: "daily sync",
    Trigger.FORCE: "Force Sync",
    Trigger.VISIT: "visit",
    Trigger.HEAL: "missing days",
    Trigger.SWEEP: "weekly check",
}
"""Why days were read."""


def why_read(trigger: str) -> str:
    """In words for a customer; a trigger that is not known is shown as it is written."""
    return TRIGGERS.get(Trigger(trigger), trigger)


class Backfill(Answer):
    """How far the history has been filled in."""

    days_expected: int
    days_read: int


class LastSync(Answer):
    """The newest reading."""

    first_day: date | None
    last_day: date | None
    usd: Decimal | None
    text: str
    """Where nothing was read in it."""


class FullCard(Card):
    """With all that the pages about integrations show."""

    team_id: str
    added_at: datetime
    last_sync: LastSync | None
    backfill: Backfill


class FullCards(Answer):
    """All integrations of an account."""

    integrations: list[FullCard]


class ConnectionResult(Answer):
    """Whether xAI accepts a key for a team."""

    ok: bool
    title: str
    detail: str
    hints: Sequence[str] = ()


class Sync(Answer):
    """How a window ended, or why it waits."""

    trigger: str
    request_ids: list[str]
    first_day: date | None
    last_day: date | None
    usd: Decimal | None
    days_changed: int | None
    reconciled: bool | None
    code: str | None
    detail: str | None
    final: bool
    next_attempt_at: datetime | None
    at: datetime

    @property
    def why(self) -> str:
        """Why these days were read."""
        return why_read(self.trigger)

    @property
    def state(self) -> "State":
        if self.code is None:
            return State.DONE
        return State.FAILED if self.final else State.WAITING

    @property
    def text(self) -> str:
        """How it ended."""
        if self.detail:
            return self.detail
        return "Every day is stored." if self.reconciled else "Some days are not stored yet: they are read again."


class Syncs(Answer):
    """The history, newest first."""

    syncs: list[Sync]


class DayRead(Answer):
    """A day of the integration: read or not, and what is to be known about it."""

    integration_id: UUID
    covered: bool
    usd: Decimal | None
    provisional: bool
    restated: bool
    reason: str | None
    why: str | None


class CoverageDay(Answer):
    """A UTC day."""

    day: date
    integrations: list[DayRead]


class Coverage(Answer):
    """A row for every day."""

    days: list[CoverageDay]


class Revision(Answer):
    """What a day was before."""

    day: date
    usd: Decimal
    new_usd: Decimal
    valid_from: datetime
    valid_to: datetime


class Revisions(Answer):
    """What changed, the last change first."""

    revisions: list[Revision]


def days_of(coverage: Coverage, card: FullCard) -> list[Day]:
    """The days of one integration, to be drawn: from the first that is expected or was read."""
    rows = [
        (one.day, next((of for of in one.integrations if of.integration_id == card.integration_id), None))
        for one in coverage.days
    ]
    return [_drawn(day, read, card) for day, read in dropwhile(lambda row: row[1] is None, rows)]


def _drawn(day: date, read: DayRead | None, card: FullCard) -> Day:
    if read is None:
        return Day(day, None, covered=False, why="It is not expected to be read.")
    return Day(
        day,
        read.usd,
        covered=read.covered,
        why=read.why,
        provisional=read.provisional,
        restated=read.restated,
        questioned=day in card.questioned_days,
    )


class State(StrEnum):
    """Of a request."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a Force Sync ended, or that it has not."""

    state: State
    sync: Sync | None
    """Its line of the history; None before there is one."""


def outcome_of(request_id: str, syncs: Sequence[Sync]) -> Outcome:
    """`syncs` are newest first; a request has several lines where it was retried."""
    line = next((one for one in syncs if request_id in one.request_ids), None)
    return Outcome(line.state if line else State.WAITING, line)
