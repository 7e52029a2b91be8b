"""The kinds of value that messages and routes are made of, with their bounds."""

import re
import unicodedata
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from contract.open_enum import OpenEnum

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Plan(StrEnum):
    """An account's plan; it decides how many days the backfill reads."""

    FREE = "free"
    PRO = "pro"
    ULTIMATE = "ultimate"


class Trigger(OpenEnum):
    """Why a window is read."""

    BACKFILL = "backfill"
    DAILY = "daily"
    FORCE = "force"
    VISIT = "visit"
    HEAL = "heal"
    SWEEP = "sweep"


class Status(OpenEnum):
    """The state of an integration, as its card shows it."""

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


def canonical_team_id(text: str) -> str | None:
    """The one form in which a Team ID is stored and compared: lower case, with dashes; None where `text` is no UUID.

    Capitals, a missing set of dashes, braces, `urn:uuid:` and spaces around it are other forms of the same UUID.
    """
    bare = text.strip().lower().removeprefix("urn:uuid:")
    if bare.startswith("{") and bare.endswith("}"):
        bare = bare[1:-1]
    return str(UUID(bare)) if _UUID.fullmatch(bare) else None


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("contains a NUL character")
    return text


def _no_controls(text: str) -> str:
    if not text.isprintable() and any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise ValueError("contains control characters")
    if not text.strip():
        raise ValueError("is blank")
    return text


def _check_day(day: object) -> object:
    """Pydantic would read a number as seconds or milliseconds since 1970."""
    if isinstance(day, int | float) or (isinstance(day, str) and not _DAY.fullmatch(day)):
        raise ValueError("is no day such as 2026-11-20")
    return day


def _check_instant(instant: object) -> object:
    """The same; text without a dash is a number."""
    if isinstance(instant, int | float) or (isinstance(instant, str) and "-" not in instant[1:]):
        raise ValueError("is no instant such as 2026-11-20T06:00:00Z")
    return instant


def _utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside the calendar") from None


_ALLOWED = r"[^\u0000-\u001f\u007f-\u009f]"
_VISIBLE = r"[^\s\u0000-\u001f\u007f-\u009f]"


def _line(example: str, max_length: int) -> WithJsonSchema:
    """The rules of a line of text in JSON Schema."""
    pattern = f"^{_ALLOWED}*{_VISIBLE}{_ALLOWED}*$"
    return WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": max_length, "pattern": pattern, "examples": [example]}
    )


AccountId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$"), Field(examples=["acme"])]
"""A customer of the web app: 1-64 of `A-Za-z0-9_.-`."""
TeamId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""An xAI team: a UUID in lower case with dashes; older records have other texts, too."""
EnteredTeamId = Annotated[
    str,
    StringConstraints(max_length=200),
    AfterValidator(_no_nul),
    WithJsonSchema({"type": "string", "maxLength": 200, "examples": ["3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f"]}),
]
"""A Team ID as a person entered it: a UUID in any written form; anything else is rejected as `team_malformed`."""
Label = Annotated[
    str, StringConstraints(min_length=1, max_length=256), AfterValidator(_no_controls), _line("Research", 256)
]
"""The name of an integration: 1-256 characters, none of them control characters."""
RequestId = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(_no_controls), _line("sync-1", 200)
]
"""The idempotency key of a sync request: 1-200 characters, none of them control characters."""
Text = Annotated[
    str, StringConstraints(pattern=r"^[^\x00]*$"), WithJsonSchema({"type": "string", "pattern": r"^[^\u0000]*$"})
]
"""Any text that Postgres can store."""
Day = Annotated[date, BeforeValidator(_check_day)]
"""A UTC day; an ISO date in JSON."""
Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_check_instant),
    AfterValidator(_utc),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An instant with its offset, kept in UTC; RFC 3339 in JSON."""
