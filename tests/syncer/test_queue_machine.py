"""Random lives of the syncer's tables, at times of the machine's choosing; `make faults` lives many more."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.support.state_machines import QUICK, Stage
from tests.syncer.support.syncer_machine import SyncerMachine


@pytest.fixture
def stage(postgres: str, databases: Any) -> Iterator[Stage]:
    assert databases  # the tables are there
    stage = Stage(postgres, "syncer", clock=True)
    yield stage
    stage.close()


def test_whatever_is_asked_answered_and_broken_every_request_ends_once_and_every_day_is_read(stage: Stage) -> None:
    run_state_machine_as_test(type("Machine", (SyncerMachine,), {"stage": stage}), settings=QUICK)
