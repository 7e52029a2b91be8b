"""What connector and ledger answer, in the form of their documents."""

from datetime import date, timedelta
from typing import Any

LAST = date(2026, 11, 28)
INTEGRATION = "0f0e0d0c-0b0a-4908-8706-050403020100"


def an_account(account_id: str = "acme") -> dict[str, Any]:
    """Everything of an account with one team, by path."""
    path = f"/v1/accounts/{account_id}"
    return {
        f"{path}/summary": summary(),
        f"{path}/costs": {"currency": "USD", "integrations": 1, "days": [a_day(2), a_day(1), a_day(0)]},
        f"{path}/breakdown": breakdown(),
        f"{path}/integrations": {"integrations": [a_card()]},
    }


def summary(**changes: Any) -> dict[str, Any]:
    previous = {"from": "2026-10-01", "to": "2026-10-29", "usd": "10", "change": 0.25, "why": None}
    answer = {
        "currency": "USD",
        "from": "2026-10-30",
        "to": str(LAST),
        "usd": "12.3456789012",
        "missing_days": [],
        "previous": previous,
        "daily_average_usd": "0.4115226300",
        "covered_days": 29,
        "top_model": {"model": "grok-4", "usd": "10"},
        "data_as_of": "2026-11-28T06:00:01Z",
        "provisional_from": "2026-11-21",
    }
    return answer | changes


def breakdown(**daily: list[str]) -> dict[str, Any]:
    """Of the last three days, by model."""
    rows = [
        {"model": model, "daily": amounts} for model, amounts in (daily or {"grok-4": ["1.5", "1.5", "1.5"]}).items()
    ]
    return {"currency": "USD", "from": str(LAST - timedelta(days=2)), "to": str(LAST), "rows": rows}


def a_day(days_ago: int = 0, **changes: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "day": str(LAST - timedelta(days=days_ago)),
        "covered": True,
        "provisional": False,
        "usd": "1.5",
        "restated": False,
        "missing": [],
        "models": [],
    }
    return answer | changes


def a_card(**changes: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "integration_id": INTEGRATION,
        "team_id": "3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f",
        "label": "Research",
        "status": "active",
        "status_text": "Active",
        "status_detail": None,
        "questioned_days": [],
        "data_as_of": "2026-11-28T06:00:01Z",
        "next_sync": "2026-11-29T06:00:00Z",
        "added_at": "2026-11-01T06:00:00Z",
        "last_sync": {
            "first_day": "2026-11-21",
            "last_day": "2026-11-28",
            "usd": "182.2236178328",
            "text": "182.2236178328 USD from 2026-11-21 to 2026-11-28",
        },
        "backfill": {"days_expected": 30, "days_read": 30},
    }
    return answer | changes
