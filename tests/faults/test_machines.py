"""Hundreds of random lives of the ledger's and the syncer's tables, each step compared with a model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.ledger.support.ledger_machine import LedgerMachine
from tests.support.state_machines import THOROUGH, Stage
from tests.syncer.support.syncer_machine import SyncerMachine

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1200)]


@contextmanager
def stage_of(postgres: str, service: str, *, clock: bool = False) -> Iterator[Stage]:
    stage = Stage(postgres, service, clock=clock)
    try:
        yield stage
    finally:
        stage.close()


def test_no_life_of_the_ledger_differs_from_its_model(postgres: str, tables_of: Callable[[str], Any]) -> None:
    tables_of("ledger")
    with stage_of(postgres, "ledger") as stage:
        run_state_machine_as_test(type("Machine", (LedgerMachine,), {"stage": stage}), settings=THOROUGH)


def test_no_life_of_the_syncer_loses_or_doubles_anything(postgres: str, tables_of: Callable[[str], Any]) -> None:
    tables_of("syncer")
    with stage_of(postgres, "syncer", clock=True) as stage:
        run_state_machine_as_test(type("Machine", (SyncerMachine,), {"stage": stage}), settings=THOROUGH)
