"""Liveness by progress: a loop that reports nothing is stuck."""

import os
import signal

import pytest
from common.watchdog import Watchdog

from tests.support.fakes import MonotonicClock


def test_a_loop_that_ends_attempts_is_alive_and_one_that_does_not_is_named() -> None:
    clock = MonotonicClock()
    watchdog = Watchdog(clock)
    watchdog.register("healer", within=60)
    clock.now = 50
    assert watchdog.stalled() == []
    watchdog.beat("healer")
    clock.now = 100
    assert watchdog.stalled() == []
    clock.now = 111
    assert watchdog.stalled() == ["healer has finished no attempt for 61 s"]


def test_the_age_of_a_loop_that_never_ended_counts_from_the_first_look() -> None:
    clock = MonotonicClock()
    watchdog = Watchdog(clock)
    assert watchdog.age("costs") == 0
    clock.now = 5
    assert watchdog.age("costs") == 5


def test_a_probe_reports_what_is_wrong() -> None:
    watchdog = Watchdog()
    found: list[str | None] = [None, "stuck"]
    watchdog.probe(lambda: found.pop(0))
    assert [watchdog.stalled(), watchdog.stalled()] == [[], ["stuck"]]


def test_a_process_that_failed_asks_to_end_and_reports_why(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, sign: killed.append((pid, sign)))
    watchdog = Watchdog()

    watchdog.fail("producer of costs: OutOfOrderSequenceNumber")

    assert killed == [(os.getpid(), signal.SIGTERM)]
    assert watchdog.stalled() == ["producer of costs: OutOfOrderSequenceNumber"]
