"""How commands take an instant: as RFC 3339, as a UTC day, or as how long ago."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def instant(text: str) -> datetime:
    """The instant that `24h`, `2026-11-01` or `2026-11-01T06:00:00Z` means (UTC where no offset is given)."""
    if ago := re.fullmatch(r"(\d{1,5})([mhd])", text):
        return datetime.now(UTC) - int(ago[1]) * UNITS[ago[2]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("say 30m, 24h, 7d, 2026-11-01 or 2026-11-01T06:00:00Z") from None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


Since = Annotated[
    datetime | None,
    typer.Option("--since", parser=instant, metavar="WHEN", help="Only from then on: 24h, 7d, 2026-11-01 …"),
]
