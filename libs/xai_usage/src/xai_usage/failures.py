"""Failures of a call, classified by what to do next; no message contains a key or a word of xAI's body."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from contract.problems import Code

RETRY_AFTER_CAP = timedelta(hours=6).total_seconds()

_SECONDS = re.compile(r"[0-9]{1,12}")


class CallFailed(Exception):  # noqa: N818 - the outcome of a call, which callers store
    """A call without an answer; its class decides what to do next, its code what people see."""

    def __init__(self, code: Code, retry_after: float | None = None) -> None:
        """`retry_after`: seconds, 0 to 6 hours, that xAI asks to wait; None where it does not."""
        super().__init__(code.value)
        self.code = code
        self.retry_after = retry_after


class CallRefused(CallFailed):
    """401, 403, 404: this key does not open this team. Call no more until a person acts."""


class CallMalformed(CallFailed):
    """400, or our own check: the same call never succeeds; other calls may."""


class CallTransient(CallFailed):
    """429, 5xx, no connection, too slow, a redirect, an unreadable 200: the same call may succeed later."""


_BY_STATUS: dict[int, tuple[type[CallFailed], Code]] = {
    400: (CallMalformed, Code.TEAM_MALFORMED),
    401: (CallRefused, Code.KEY_REFUSED),
    403: (CallRefused, Code.ACCESS_DENIED),
    404: (CallRefused, Code.TEAM_UNKNOWN),
    408: (CallTransient, Code.XAI_UNAVAILABLE),
    425: (CallTransient, Code.XAI_UNAVAILABLE),
    429: (CallTransient, Code.RATE_LIMITED),
}


def failure_of(status: int, retry_after: str | None, now: datetime) -> CallFailed:
    """The failure that an answer of `status` (anything but 200) with that Retry-After header means at `now`."""
    unavailable = 300 <= status < 400 or status >= 500  # noqa: PLR2004 - HTTP's classes: redirects and the server's own faults
    unlisted = Code.XAI_UNAVAILABLE if unavailable else Code.ANSWER_UNREADABLE
    failure, code = _BY_STATUS.get(status, (CallTransient, unlisted))
    return failure(code, seconds_to_wait(retry_after, now) if failure is CallTransient else None)


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
