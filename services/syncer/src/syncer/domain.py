"""The rules of reading costs: which days, when, how often. Pure: no I/O, no clock, no framework."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from contract.fields import Plan, Status, Trigger
from contract.messages import IntegrationState
from contract.problems import Code
from contract.rules import BACKFILL_DAYS, DAILY_AT, REFUSED_RETRIED_FOR, XAI_CODES, readable_from

MOST_URGENT_FIRST = (Trigger.FORCE, Trigger.VISIT, Trigger.DAILY, Trigger.HEAL, Trigger.BACKFILL, Trigger.SWEEP)

REQUEST_VALID_FOR = timedelta(days=7)
"""After `requested_at`: replaying older requests never calls xAI again."""
CLOCK_TOLERANCE = timedelta(hours=1)
"""How far ahead `requested_at` may be."""

DEFAULT_DAYS_BEFORE_TODAY = 7
WINDOW_DAYS = 30

SWEEP_EVERY = timedelta(days=7)
"""After which all readable days of an integration are read again: xAI restates days later than a week, too."""

FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(minutes=15)
ABANDONED_AFTER = timedelta(hours=24)
TEAM_RATE_PER = timedelta(minutes=1)
"""What the rate of a team's calls is counted by: its bucket is never farther from full."""
FRESH_FOR = timedelta(minutes=15)
REFUSALS_AFTER = 10
"""Teams whose keys were refused, one after another, with none accepted between them: authentication is out of order."""

CALL_CODES = (*XAI_CODES, Code.UNSEALABLE, Code.KEY_UNAVAILABLE, Code.INTERNAL)
"""How a call can fail."""
WINDOW_CODES = (
    *CALL_CODES,
    Code.ANSWER_CUT,
    Code.ANSWER_QUESTIONED,
    Code.OUT_OF_RANGE,
    Code.FRESH,
    Code.EXPIRED,
    Code.CANCELLED,
    Code.NOT_FOUND,
)
"""How a window can fail."""

READ_BY = timedelta(hours=DAILY_AT.hour + 1)
"""After the end of a UTC day, an hour after the daily run: a day that is not read by then is healed."""
TRUSTED_FOR = timedelta(hours=6)
"""How long the ledger may take to confirm a day that was published."""
FIRST_HEAL_PAUSE = timedelta(minutes=1)
DAILY_FROM_HEAL = 6


@dataclass(frozen=True, slots=True)
class Days:
    """Whole UTC days, both included."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Refusal:
    """xAI refused the integration's current key."""

    code: Code
    since: datetime


@dataclass(frozen=True, slots=True)
class Heal:
    """Days to be read again, and the number of the attempt, from 1."""

    days: Days
    attempt: int


def urgency_of(trigger: Trigger) -> int:
    """Lower is read first; a trigger that this version does not know is the least urgent."""
    return MOST_URGENT_FIRST.index(trigger) if trigger in MOST_URGENT_FIRST else len(MOST_URGENT_FIRST)


def refusal_of(code: str | None, since: datetime) -> Refusal | None:
    return Refusal(Code(code), since) if code else None


def end_without_call(requested_at: datetime, now: datetime) -> Code | None:
    """The code with which a request ends because of its age; None where it is to be read."""
    if requested_at > now + CLOCK_TOLERANCE:
        return Code.REQUEST_MALFORMED
    return Code.EXPIRED if requested_at < now - REQUEST_VALID_FOR else None


def ended_at(requested_at: datetime, now: datetime) -> datetime:
    """The instant of that end: of an expiry the same whenever the request is received."""
    return now if requested_at > now else requested_at + REQUEST_VALID_FOR


def makes_no_calls(state: IntegrationState) -> bool:
    """Whether the integration is removed, or a second one of a team that its account has: neither is ever read again."""
    return state.status is Status.REMOVED or state.status_code is Code.ALREADY_CONNECTED


def default_days(today: date) -> Days:
    """The range of a request that names none: the 7 days before today, and today."""
    before = min(timedelta(days=DEFAULT_DAYS_BEFORE_TODAY), today - date.min)  # a request may name any instant
    return Days(today - before, today)


def readable(days: Days, today: date) -> Days | None:
    """The part for which figures are available, today included; None where there is none."""
    first = max(days.first, readable_from(today))
    last = min(days.last, today)
    return Days(first, last) if first <= last else None


def backfill(plan: Plan, today: date) -> list[Days]:
    """The windows of a backfill, newest first, today included."""
    count = BACKFILL_DAYS[plan]
    lasts = (today - timedelta(days=before) for before in range(0, count, WINDOW_DAYS))
    return [Days(last - timedelta(days=WINDOW_DAYS - 1), last) for last in lasts]


def sweep(first: date, today: date) -> list[Days]:
    """The windows in which `first` to `today` are read again, newest first."""
    lasts = (today - timedelta(days=before) for before in range(0, (today - first).days + 1, WINDOW_DAYS))
    return [Days(max(first, last - timedelta(days=WINDOW_DAYS - 1)), last) for last in lasts]


def first_sweep_after(integration_id: UUID) -> timedelta:
    """The wait before an integration's first sweep: up to SWEEP_EVERY, so that the sweeps of all are spread."""
    return timedelta(seconds=integration_id.int % int(SWEEP_EVERY.total_seconds()))


def may_call(trigger: Trigger, refusal: Refusal | None, now: datetime) -> bool:
    """After a refusal only a person's request, and for a while the daily run, cause another call."""
    if refusal is None or trigger is Trigger.FORCE:
        return True
    return trigger is Trigger.DAILY and now - refusal.since < REFUSED_RETRIED_FOR


def is_fresh(read_at: datetime | None, now: datetime) -> bool:
    """A visit soon after a reading makes no call."""
    return read_at is not None and now - read_at < FRESH_FOR


def pause_after(attempt: int, retry_after: float | None, chance: float) -> timedelta:
    """The wait after failure number `attempt` (from 1); `chance` in [0, 1) spreads the load, Retry-After is obeyed."""
    pause = min(FIRST_PAUSE * (1 << min(attempt - 1, 20)), LONGEST_PAUSE) * (0.5 + chance / 2)
    return max(pause, timedelta(seconds=retry_after or 0))


def is_abandoned(first_failed_at: datetime, now: datetime) -> bool:
    """Whether a window has failed for so long that it ends; the healer queues its days again."""
    return now - first_failed_at >= ABANDONED_AFTER


def heal_pause(attempt: int) -> timedelta:
    """The wait after heal number `attempt` of a day: 1 min, doubling; daily from the sixth."""
    if attempt >= DAILY_FROM_HEAL:
        return timedelta(days=1)
    return FIRST_HEAL_PAUSE * (1 << (attempt - 1))


def heals(missing: Iterable[tuple[date, int]]) -> Iterator[Heal]:
    """Windows of at most 30 days for `missing` (day, attempts so far), in order of days.

    Neighbours with as many attempts share a window: each day keeps its own count.
    """
    run: list[tuple[date, int]] = []
    for day, attempts in sorted(missing):
        if run and ((day - timedelta(days=1), attempts) != run[-1] or len(run) == WINDOW_DAYS):
            yield _heal(run)
            run = []
        run.append((day, attempts))
    if run:
        yield _heal(run)


def _heal(run: list[tuple[date, int]]) -> Heal:
    return Heal(Days(run[0][0], run[-1][0]), 1 + run[0][1])
