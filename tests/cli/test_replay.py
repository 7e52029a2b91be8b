"""What `grafient replay` accepts, and what it prints for people."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from common.replay import ReplayReport, ReplayRequest
from contract.cloudevents import STRUCTURED
from contract.topics import COSTS
from grafient import replay
from grafient.replay import bound
from typer import BadParameter

from tests.support.commands import invoke
from tests.support.messages import cost_recorded, raw_record, structured, wire

ENVIRONMENT = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:9/none"}


@pytest.mark.parametrize(("account", "chosen"), [("account-1", True), ("other", False)])
def test_records_of_an_account_are_chosen_however_they_are_written(account: str, chosen: bool) -> None:  # noqa: FBT001 - a case
    day = cost_recorded(uuid4())
    request = ReplayRequest(COSTS, account_id=account)

    assert [request.chooses(raw_record(COSTS, *form(day))) for form in (wire, structured)] == [chosen, chosen]
    assert not request.chooses(raw_record(COSTS, b"{", [("content-type", STRUCTURED.encode())]))


def _report(erased: int) -> ReplayReport:
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
    read = sum(counts.values())
    return ReplayReport("xai.costs.v1", False, read, 36, {}, 0, counts, rows, figures, figures)  # noqa: FBT003 - its order


def _printed(monkeypatch: pytest.MonkeyPatch, erased: int) -> str:
    async def run(*_: Any, **__: Any) -> ReplayReport:
        return _report(erased)

    monkeypatch.setattr(replay, "run_replay", run)
    result = invoke("replay", "xai.costs.v1", env=ENVIRONMENT | {"COLUMNS": "200"})
    assert result.status == 0, result.stderr
    return result.stdout


def test_what_was_erased_is_named_by_integration_and_days(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = _printed(monkeypatch, erased=22)

    assert "5 applied, 682 erased" in " ".join(printed.replace("│", " ").split())
    assert "Passed over" in printed
    assert str(UUID(int=19)) in printed
    assert str(UUID(int=20)) not in printed
    assert "and 2 more" in printed


def test_nothing_is_printed_of_erasing_where_nothing_was_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Passed over" not in _printed(monkeypatch, erased=0)


def test_a_topic_that_no_service_handles_is_named() -> None:
    refused = invoke("replay", "xai.dead-letters.v1", env=ENVIRONMENT)

    assert refused.status == 2
    assert "no service handles it" in refused.stderr


@pytest.mark.parametrize("text", ["24", "3:", "yesterday", "2026-13-01"])
def test_a_bound_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(BadParameter, match="2026-11-01T06:00:00Z"):
        bound([text])


def test_offsets_name_their_partitions() -> None:
    assert bound(["3:1042", "0:7"]) == {3: 1042, 0: 7}
    assert bound([]) is None
