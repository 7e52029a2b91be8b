"""What a replay prints for eyes."""

from typing import Any
from uuid import UUID

import pytest
from grafient import replay
from grafient.main import app
from typer.testing import CliRunner


def _report(erased: int) -> dict[str, Any]:
    rows = [
        {
            "integration_id": str(UUID(int=number)),
            "first_day": "2026-11-01",
            "last_day": "2026-11-30",
            "cost_recorded": 30,
            "window_read": 1,
        }
        for number in range(erased)
    ]
    counts = {"not_asked_for": 0, "applied": 5, "erased": 31 * erased, "dead_lettered": 0}
    figures = {"days": "5", "usd": "1.5", "checksum": "7"}
    common = {"topic": "xai.costs.v1", "dry_run": False, "chosen": 36, "by_type": {}, "malformed": 0}
    return common | {
        "read": sum(counts.values()),
        "counts": counts,
        "erased": rows,
        "before": figures,
        "after": figures,
    }


def _printed(monkeypatch: pytest.MonkeyPatch, erased: int) -> str:
    monkeypatch.setattr(replay, "entry_point", lambda *_: _report(erased))
    result = CliRunner().invoke(app, ["replay", "xai.costs.v1"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_what_was_erased_is_named_by_integration_and_days(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = _printed(monkeypatch, erased=22)

    assert "5 applied, 682 erased" in " ".join(printed.replace("│", " ").split())
    assert "Passed over" in printed
    assert str(UUID(int=19)) in printed
    assert str(UUID(int=20)) not in printed
    assert "and 2 more" in printed


def test_nothing_is_said_of_erasing_where_nothing_was_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Passed over" not in _printed(monkeypatch, erased=0)
