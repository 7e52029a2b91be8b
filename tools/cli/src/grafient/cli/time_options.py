"""Options that take an instant or a duration."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def duration(text: str) -> timedelta | None:
    """What `30m`, `24h` or `90d` means; None for another text."""
    found = re.fullmatch(r"(\d{1,5})([mhd])", text)
    return int(found[1]) * UNITS[found[2]] if found else None


def instant(text: str) -> datetime:
    """The instant that `24h` (ago), `2026-11-01` or `2026-11-01T06:00:00Z` means, in UTC where no offset is given."""
    if (ago := duration(text)) is not None:
        return datetime.now(UTC) - ago
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("use 30m, 24h, 7d, 2026-11-01 or 2026-11-01T06:00:00Z") from None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


Since = Annotated[
    datetime | None,
    typer.Option("--since", parser=instant, metavar="WHEN", help="Only from then on: 24h, 7d, 2026-11-01 …"),
]
