"""Random lives of the ledger's tables, each step compared with a model; `make faults` lives many more."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.ledger.support.ledger_machine import LedgerMachine
from tests.support.state_machines import QUICK, Stage


@pytest.fixture
def stage(postgres: str, owned: Any) -> Iterator[Stage]:
    assert owned  # the tables are there
    stage = Stage(postgres, "ledger")
    yield stage
    stage.close()


def test_whatever_comes_however_often_and_wherever_it_breaks_the_ledger_is_as_its_model(stage: Stage) -> None:
    run_state_machine_as_test(type("Machine", (LedgerMachine,), {"stage": stage}), settings=QUICK)
