"""Liveness by progress: a loop that says nothing is stuck."""

import os
import signal

import pytest
from common.watchdog import Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_that_ends_attempts_is_alive_and_one_that_does_not_is_named() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.expect("healer", within=60)
    clock.now = 50
    assert progress.stalled() == []
    progress.ended("healer")
    clock.now = 100
    assert progress.stalled() == []
    clock.now = 111
    assert progress.stalled() == ["healer has ended no attempt for 61 s"]


def test_the_age_of_a_loop_that_never_ended_counts_from_the_first_look() -> None:
    clock = Clock()
    progress = Progress(clock)
    assert progress.age("costs") == 0
    clock.now = 5
    assert progress.age("costs") == 5


def test_a_probe_tells_what_is_wrong() -> None:
    progress = Progress()
    found: list[str | None] = [None, "stuck"]
    progress.probe(lambda: found.pop(0))
    assert [progress.stalled(), progress.stalled()] == [[], ["stuck"]]


def test_a_process_that_failed_asks_to_end_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, sign: killed.append((pid, sign)))
    progress = Progress()

    progress.fail("producer of costs: OutOfOrderSequenceNumber")

    assert killed == [(os.getpid(), signal.SIGTERM)]
    assert progress.stalled() == ["producer of costs: OutOfOrderSequenceNumber"]
