"""Rules that several services must agree on, each stated once; SQL takes them as parameters."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from contract.fields import Plan
from contract.problems import Code

READABLE_DAYS = 90
"""Days, today included, for which xAI has figures; for older days it answers zeros that are false."""
BACKFILL_DAYS: dict[Plan, int] = {Plan.FREE: 30, Plan.PRO: READABLE_DAYS, Plan.ULTIMATE: READABLE_DAYS}
"""Days of history, today included, that the backfill of a plan reads."""
SETTLED_AFTER = timedelta(days=7)
"""After the end of a UTC day: until then xAI's figures of the day are provisional."""
DAILY_AT = time(6, tzinfo=UTC)
"""When the cron emitter requests all active integrations."""
XAI_CODES = (
    Code.KEY_REFUSED,
    Code.ACCESS_DENIED,
    Code.TEAM_UNKNOWN,
    Code.TEAM_MALFORMED,
    Code.KEY_MALFORMED,
    Code.REQUEST_REFUSED,
    Code.RATE_LIMITED,
    Code.XAI_UNAVAILABLE,
    Code.ANSWER_UNREADABLE,
)
"""Causes of a failed call to xAI, or of one that was not made because it would fail."""
REFUSALS = frozenset({Code.KEY_REFUSED, Code.ACCESS_DENIED, Code.TEAM_UNKNOWN})
"""Codes with which xAI refuses a key or a team: no more calls until the key is replaced or a person requests one."""
REFUSED_RETRIED_FOR = timedelta(days=7)
"""After a refusal each daily run tries once: an outage of xAI's authentication heals."""


@lru_cache(maxsize=1024)
def ends_at(day: date) -> datetime:
    """The instant at which a UTC day is over; kept, because one answer needs it for the same days thousands of times."""
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def is_provisional(day: date, observed_at: datetime) -> bool:
    """Whether the day may still change: read less than SETTLED_AFTER after its end."""
    return observed_at < ends_at(day) + SETTLED_AFTER


def readable_from(today: date) -> date:
    """First UTC day for which xAI has figures."""
    return today - timedelta(days=READABLE_DAYS - 1)


def backfill_from(plan: Plan, today: date) -> date:
    """First UTC day of the history that the backfill of `plan` reads."""
    return today - timedelta(days=BACKFILL_DAYS[plan] - 1)
