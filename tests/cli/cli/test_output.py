"""Programs get JSON with types; what JSON has no type for is text in one form."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from contract.problems import Code
from grafient.cli.output import show


def test_numbers_are_numbers_what_is_absent_is_null_and_money_is_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    row = {
        "waiting": 0,
        "share": 0.5,
        "since": None,
        "at": datetime(2026, 11, 20, 6, tzinfo=UTC),
        "day": date(2026, 11, 20),
        "id": UUID(int=1),
        "code": Code.NOT_FOUND,
        "usd": Decimal("1E+2"),
        "right": True,
    }

    show([row], "", as_json=True)

    assert json.loads(capsys.readouterr().out) == [
        row
        | {
            "at": "2026-11-20T06:00:00.000000Z",
            "day": "2026-11-20",
            "id": "00000000-0000-0000-0000-000000000001",
            "code": "not_found",
            "usd": "100",
        }
    ]
