"""Failures of a call, classified by what to do next; no message contains a key or a word of xAI's body."""

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from contract.problems import Code

RETRY_AFTER_CAP = timedelta(hours=6).total_seconds()

BAD_REQUEST, TOO_MANY_REQUESTS = 400, 429
_REFUSALS = {401: Code.KEY_REFUSED, 403: Code.ACCESS_DENIED, 404: Code.TEAM_UNKNOWN}
READ_OF = frozenset({BAD_REQUEST, *_REFUSALS})
"""Status codes whose meaning depends on the body."""
_ALSO_UNAVAILABLE = frozenset({408, 425})
_REASONS = frozenset({"code", "error", "message"})
"""Members of xAI's JSON; what a gateway on the way answers has none of them."""
_OF_KEY = re.compile(r"\bkeys?\b|api[ _-]?key|credential|authenticat", re.IGNORECASE)
_SECONDS = re.compile(r"[0-9]{1,12}")


class CallFailed(Exception):  # noqa: N818 - the outcome of a call, which callers store
    """A call without an answer; its class decides what to do next, its code what people see."""

    def __init__(self, code: Code, retry_after: float | None = None, cause: str | None = None) -> None:
        """`retry_after`: seconds, 0 to 6 hours, that xAI asks to wait; None where it does not.

        `cause`: the kind of failure, for operators.
        """
        super().__init__(code.value)
        self.code = code
        self.retry_after = retry_after
        self.cause = cause


class CallRefused(CallFailed):
    """This key does not open this team: xAI's own JSON with 401, 403 or 404, or with a 400 that speaks of the key.

    Call no more until a person acts.
    """


class CallMalformed(CallFailed):
    """Any other 400 (`request_refused`), or our own check (`team_malformed`, `key_malformed`), before anything is sent.

    The same call does not succeed; another range of the same team may.
    """


class CallTransient(CallFailed):
    """429, 5xx, no connection, too slow, a redirect, an unreadable 200, or a refusal that is not xAI's own JSON.

    The same call may succeed later.
    """


class CallOtherDays(CallTransient):
    """A 200 about other days than requested; if that lasts, the request or this reader is wrong."""


def failure_of(status: int, retry_after: str | None, now: datetime, body: bytes = b"") -> CallFailed:
    """The failure that an answer of `status` (anything but 200) with that Retry-After header and body means at `now`."""
    reason = _reason(body)
    if status == BAD_REQUEST:
        is_of_key = reason is not None and _OF_KEY.search(reason)
        return CallRefused(Code.KEY_REFUSED) if is_of_key else CallMalformed(Code.REQUEST_REFUSED)
    if status in _REFUSALS and reason is not None:
        return CallRefused(_REFUSALS[status])
    cause = f"HTTP {status}" + (", not from xAI itself" if status in _REFUSALS else "")
    return CallTransient(_transient(status), seconds_to_wait(retry_after, now), cause)


def _transient(status: int) -> Code:
    if status == TOO_MANY_REQUESTS:
        return Code.RATE_LIMITED
    unavailable = 300 <= status < 400 or status >= 500 or status in _REFUSALS or status in _ALSO_UNAVAILABLE  # noqa: PLR2004 - HTTP's classes: redirects and the server's own faults
    return Code.XAI_UNAVAILABLE if unavailable else Code.ANSWER_UNREADABLE


def _reason(body: bytes) -> str | None:
    """What xAI gives as the reason, only to be searched: it is shown and logged nowhere. None: the body is not xAI's own."""
    try:
        found = json.loads(body)
        if not isinstance(found, dict) or not (named := found.keys() & _REASONS):
            return None
        return json.dumps([found[name] for name in named])
    except (ValueError, RecursionError):
        return None


def seconds_to_wait(retry_after: str | None, now: datetime) -> float | None:
    """Seconds, 0 to 6 hours, of a Retry-After header at `now` (aware); None where it is invalid."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), RETRY_AFTER_CAP)
    return _seconds_until(text, now)


def _seconds_until(http_date: str, now: datetime) -> float | None:
    try:
        instant = parsedate_to_datetime(http_date)
        aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        seconds = (aware - now).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(seconds, RETRY_AFTER_CAP) if seconds >= 0 else None
