"""The rules of an integration: what its card says, how far its history goes. Pure: no I/O, no clock, no framework."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from contract.fields import Plan, Status
from contract.problems import Code

BACKFILL_DAYS: dict[Plan, int] = {Plan.FREE: 30, Plan.PRO: 90, Plan.ULTIMATE: 90}
READABLE_DAYS = 90
"""Beyond them xAI tells nothing, so that no day can be filled in any more."""
DAILY_AT = time(6, tzinfo=UTC)
REFUSED_IS_TRIED_FOR = timedelta(days=7)
"""After a refusal each daily run tries once, for an outage of xAI's authentication heals by itself."""
REFUSALS = frozenset({Code.KEY_REFUSED, Code.ACCESS_DENIED, Code.TEAM_UNKNOWN})

STATUS_TEXT: dict[Status, str] = {
    Status.BACKFILLING: "Filling in the history",
    Status.ACTIVE: "Active",
    Status.ERROR: "Needs attention",
    Status.REMOVED: "Removed",
}
COMMAND_MAY_WAIT = timedelta(days=7)
CLOCKS_DIFFER = timedelta(hours=1)
_SEALED = re.compile(r"v1\.[A-Za-z0-9._-]{1,40}\.[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{1,20000}")


@dataclass(frozen=True, slots=True)
class Health:
    """What a card says of an integration."""

    status: Status
    code: Code | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a sync has to say about its integration's health."""

    code: Code | None
    """None: it was completed."""
    final: bool
    credential_version: int


def backfill_first(plan: Plan, today: date) -> date:
    """First day of the history that a plan fills in, `today` included."""
    return today - timedelta(days=BACKFILL_DAYS[plan] - 1)


def readable_from(today: date) -> date:
    """First day that xAI still tells."""
    return today - timedelta(days=READABLE_DAYS - 1)


def health_after(before: Health, outcome: Outcome, credential_version: int, *, filled_in: bool) -> Health:
    """The card after the newest outcome; `filled_in`: the whole backfill has been read.

    A refusal counts only for the current credential. A failure that is tried again by itself (a cut answer by the
    healer) is told, and leaves the status as it is: a hiccup of xAI turns no card red, and does not hide what is really wrong.
    """
    if before.status is Status.REMOVED:
        return before
    if outcome.code is None:
        return Health(Status.ACTIVE if filled_in else Status.BACKFILLING, None)
    if outcome.code in REFUSALS and outcome.credential_version != credential_version:
        return before
    if outcome.final and outcome.code is not Code.ANSWER_CUT:
        return Health(Status.ERROR, outcome.code)
    return before if before.status is Status.ERROR else Health(before.status, outcome.code)


def health_with_new_key(code: Code | None, *, filled_in: bool) -> Health:
    """The card after a key was replaced by one that passed its test: what was wrong with the old one is over.

    What is wrong with the figures stays until they are read again.
    """
    if code is Code.NOT_RECONCILED:
        return Health(Status.ERROR, code)
    return Health(Status.ACTIVE if filled_in else Status.BACKFILLING, None)


def default_label(team_id: str, taken: Collection[str]) -> str:
    """A label for a team whose customer gave none; no other of the account's has it."""
    label = f"xAI team {team_id[:8]}"
    numbered = (f"{label} ({number})" for number in range(2, len(taken) + 3))
    return next(one for one in (label, *numbered) if one not in taken)


def next_sync(health: Health, since: datetime, now: datetime) -> datetime | None:
    """The next 06:00 UTC; None for what is removed, and a week after a refusal: then only a person can help."""
    today = datetime.combine(now.astimezone(UTC).date(), DAILY_AT)
    due = today if now < today else today + timedelta(days=1)
    given_up = health.code in REFUSALS and due - since >= REFUSED_IS_TRIED_FOR
    return None if given_up or health.status is Status.REMOVED else due


def hints(team_id: str, key: str, code: Code) -> list[str]:
    """What may be wrong with what was typed, beyond the code's own sentence; never a value."""
    found = []
    if key.startswith("xai-") and code in {Code.KEY_REFUSED, Code.ACCESS_DENIED}:
        found.append("The key begins with xai-, as keys for chat completions do. A Management API key is needed.")
    if not _is_uuid(team_id) and code is not Code.XAI_UNAVAILABLE:
        found.append("A Team ID is a UUID of 36 characters; what was entered is not one.")
    if _is_uuid(key):
        found.append("What was entered as the key is a UUID: were Team ID and key swapped?")
    return found


def waits_too_long(expires_at: datetime, now: datetime) -> bool:
    """Whether a command that comes now could act longer than a command may."""
    return expires_at - now > COMMAND_MAY_WAIT + CLOCKS_DIFFER


def looks_sealed(text: str) -> bool:
    """Whether `text` has the form of a sealed key; one in the clear, put there by mistake, has not, and is kept nowhere."""
    return _SEALED.fullmatch(text) is not None


def _is_uuid(text: str) -> bool:
    return re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text) is not None


def covered(first: date, last: date, missing: Collection[date]) -> list[tuple[date, date]]:
    """The days from `first` to `last` without the missing ones, as ranges, both ends included."""
    ranges: list[tuple[date, date]] = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        if day in missing:
            continue
        if ranges and ranges[-1][1] == day - timedelta(days=1):
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges
