"""The rules of an integration: what its card shows and when it syncs next. Pure: no I/O, no clock, no framework."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from contract.fields import Status, canonical_team_id
from contract.problems import Code
from contract.rules import DAILY_AT, REFUSALS, REFUSED_RETRIED_FOR

STATUS_TEXT: dict[Status, str] = {
    Status.BACKFILLING: "Filling in the history",
    Status.ACTIVE: "Active",
    Status.ERROR: "Needs attention",
    Status.REMOVED: "Removed",
}
OF_ONE_KEY = REFUSALS | {Code.KEY_UNAVAILABLE}
"""They mean nothing for the key that has replaced it."""
HEALS_BEFORE_ALARM = 5
"""Healings after which a day that still does not add up shows on the card."""
COMMAND_VALID_FOR = timedelta(days=7)
CLOCK_TOLERANCE = timedelta(hours=1)
_SEALED = re.compile(r"v1\.[A-Za-z0-9._-]{1,40}\.(?!xai-)[A-Za-z0-9_-]{43}\.(?!xai-)[A-Za-z0-9_-]{23,20000}")
"""32 bytes of encapsulated key, and at least one byte of ciphertext with its tag of 16, in base64url."""
_ENCRYPTED = re.compile(r"(?<![\w+/-])([\w+/-]{43}=?|[\w+/-]{66,}={0,2})(?![\w+/=-])", re.ASCII)
"""The same bytes in any form of base64 or in hex, together or apart: sealed, and then written otherwise than documented."""
_XAI_KEY = re.compile(r"xai-[A-Za-z0-9_-]{32,}")
_KEY_LIKE = re.compile(r"[!-~]{16,512}")
"""Shorter words are placeholders, such as `v1.x.x.x`."""


@dataclass(frozen=True, slots=True)
class Health:
    """An integration's status, and the code of what is wrong."""

    status: Status
    code: Code | None


DUPLICATE = Health(Status.ERROR, Code.ALREADY_CONNECTED)
"""Of an integration whose account has another one of the same team: former versions compared Team IDs as text."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a sync means for its integration's health."""

    code: Code | None
    """None: it was completed."""
    final: bool
    credential_version: int


def health_after(before: Health, outcome: Outcome, credential_version: int, *, filled_in: bool) -> Health:
    """The health after the newest outcome; `filled_in`: the whole backfill has been read.

    A refusal counts only for the current credential. A failure that is retried (a cut answer by the healer) sets the
    code and keeps the status: a transient error of xAI turns no card red, and does not hide a real error. An answer that
    is questioned shows that xAI answers. A key that we cannot open needs attention at once, although it is retried.
    """
    if before.status is Status.REMOVED:
        return before
    if outcome.code is None:
        return Health(Status.ACTIVE if filled_in else Status.BACKFILLING, None)
    if outcome.code in OF_ONE_KEY and outcome.credential_version != credential_version:
        return before
    harmless = {Code.ANSWER_CUT, Code.ANSWER_QUESTIONED}
    if outcome.code is Code.KEY_UNAVAILABLE or (outcome.final and outcome.code not in harmless):
        return Health(Status.ERROR, outcome.code)
    code = None if outcome.code is Code.ANSWER_QUESTIONED else outcome.code
    return before if before.status is Status.ERROR else Health(before.status, code)


def questioned_text(days: int) -> str:
    """For a card or a sync with so many questioned days, at least 1."""
    return f"xAI reports less than before for {days} {'day' if days == 1 else 'days'}: asking again"


def health_with_new_key(code: Code | None, *, filled_in: bool) -> Health:
    """The health after a key was replaced by one that passed its test: errors of the former key are over.

    Figures that do not add up stay an error until they are read again.
    """
    if code is Code.NOT_RECONCILED:
        return Health(Status.ERROR, code)
    return Health(Status.ACTIVE if filled_in else Status.BACKFILLING, None)


def beyond_after(beyond: date | None, first_read: date, refused_until: date | None, *, newest: bool) -> date | None:
    """Up to which day xAI refuses to report, after a reading that began on `first_read`; `newest`: none is newer."""
    if refused_until is not None:
        return refused_until if newest or beyond is None else max(beyond, refused_until)
    if newest and beyond is not None and beyond >= first_read:
        return first_read - timedelta(days=1)
    return beyond


def history_behind(history_from: date, refused_until: date, first_read: date | None) -> date:
    """First day that is expected: behind what xAI refuses, but not behind a day that was read once."""
    behind = refused_until + timedelta(days=1)
    return max(history_from, min(behind, first_read or behind))


def default_label(team_id: str, taken: Collection[str]) -> str:
    """A label that no other integration of the account has."""
    label = f"xAI team {team_id[:8]}"
    numbered = (f"{label} ({number})" for number in range(2, len(taken) + 3))
    return next(one for one in (label, *numbered) if one not in taken)


def next_sync(health: Health, since: datetime, now: datetime) -> datetime | None:
    """The next daily run; None for a removed integration, a second one of a team, and a refusal no longer retried."""
    today = datetime.combine(now.astimezone(UTC).date(), DAILY_AT)
    due = today if now < today else today + timedelta(days=1)
    abandoned = health.code in REFUSALS and due - since >= REFUSED_RETRIED_FOR
    is_over = health.status is Status.REMOVED or health.code is Code.ALREADY_CONNECTED
    return None if abandoned or is_over else due


def hints(key: str, code: Code) -> list[str]:
    """Likely mistakes in what was entered, beyond the code's own sentence; never a value."""
    found = []
    if key.startswith("xai-") and code in {Code.KEY_REFUSED, Code.ACCESS_DENIED}:
        found.append("The key begins with xai-: if this is a key for chat completions, create a Management API key.")
    if canonical_team_id(key):
        found.append("What was entered as the key is a UUID: were Team ID and key swapped?")
    return found


def waits_too_long(expires_at: datetime, now: datetime) -> bool:
    """Whether a command that arrives now is valid for longer than commands may be."""
    return expires_at - now > COMMAND_VALID_FOR + CLOCK_TOLERANCE


def looks_sealed(text: str) -> bool:
    """Whether `text` has the form of a sealed key; a key in the clear does not, and must not be stored."""
    return _SEALED.fullmatch(text) is not None


def exposes_key(text: str) -> bool:
    """Whether `text`, which does not look sealed, may be a key in the clear: rather one revoked in vain than one missed."""
    is_word = _KEY_LIKE.fullmatch(text.strip()) is not None
    return holds_xai_key(text) or (is_word and not _ENCRYPTED.search(text))


def holds_xai_key(text: str) -> bool:
    """Whether a key with xAI's prefix is in `text`."""
    return _XAI_KEY.search(text) is not None


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
