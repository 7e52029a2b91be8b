"""The kinds of value that messages and routes are made of, with their bounds."""

import unicodedata
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, PlainSerializer, StringConstraints, WithJsonSchema


class Plan(StrEnum):
    """An account's plan; it decides how far the backfill goes."""

    FREE = "free"
    PRO = "pro"
    ULTIMATE = "ultimate"


class Trigger(StrEnum):
    """Why a window is read."""

    BACKFILL = "backfill"
    DAILY = "daily"
    FORCE = "force"
    VISIT = "visit"
    HEAL = "heal"


class Status(StrEnum):
    """What became of an integration, as its card says it."""

    BACKFILLING = "backfilling"
    ACTIVE = "active"
    ERROR = "error"
    REMOVED = "removed"


class History(StrEnum):
    """What happens to the costs of an integration that is removed."""

    KEEP = "keep"
    ERASE = "erase"


def rfc3339(instant: datetime) -> str:
    """`instant` in UTC with microseconds, such as `2026-11-01T06:00:00.000000Z`."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("contains a NUL character")
    return text


def _no_controls(text: str) -> str:
    if any(unicodedata.category(sign) in {"Cc", "Cs"} for sign in text):
        raise ValueError("contains control characters")
    if not text.strip():
        raise ValueError("is blank")
    return text


def _utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside the calendar") from None


AccountId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
"""A customer of the web app: 1-64 of `A-Za-z0-9_.-`."""
TeamId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""An xAI team; usually a UUID, which is not enforced."""
Label = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_no_controls)]
"""What a person calls an integration: 1-256 characters, none of them control characters."""
RequestId = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_no_controls)]
"""The idempotency key of a sync request: 1-200 characters, none of them control characters."""
Text = Annotated[str, AfterValidator(_no_nul)]
"""Any text that Postgres can keep."""
Instant = Annotated[
    AwareDatetime,
    AfterValidator(_utc),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An instant with its offset, kept in UTC; RFC 3339 in JSON."""
