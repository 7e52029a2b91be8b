"""A loop does what is due, rests, is woken early, and survives every failure."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import structlog
from common.loops import Loop
from common.watchdog import Watchdog

from tests.support.waiting import until


class Steps:
    """Counts its calls; the first `failures` of them raise."""

    def __init__(self, failures: int = 0) -> None:
        self.calls = 0
        self._failures = failures

    async def __call__(self) -> None:
        self.calls += 1
        if self.calls <= self._failures:
            raise ConnectionError

    def reached(self, calls: int) -> Callable[[], bool]:
        return lambda: self.calls >= calls


@asynccontextmanager
async def running(loop: Loop) -> AsyncIterator[None]:
    task = asyncio.create_task(loop.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_step_is_repeated_after_each_rest() -> None:
    steps = Steps()
    async with running(Loop("relay", Watchdog(), steps, every=0.01)):
        await until(steps.reached(3))


async def test_a_wake_ends_the_rest() -> None:
    steps = Steps()
    loop = Loop("relay", Watchdog(), steps, every=3600)
    async with running(loop):
        await until(steps.reached(1))
        loop.wake()
        await until(steps.reached(2))


async def test_a_failure_is_logged_and_the_next_step_comes_after_its_pause() -> None:
    steps = Steps(failures=2)
    with structlog.testing.capture_logs() as logs:
        async with running(Loop("relay", Watchdog(), steps, every=3600, after_failure=(0.01,))):
            await until(steps.reached(3))

    assert [(one["event"], one["error"]) for one in logs] == [("relay.failed", "ConnectionError")] * 2


@pytest.mark.parametrize(("failures", "pause"), [(0, 60), (1, 1), (2, 5), (9, 5)])
async def test_pauses_grow_with_failures_in_a_row(failures: int, pause: float) -> None:
    loop = Loop("relay", Watchdog(), Steps(), every=60, after_failure=(1, 5))
    loop._failures = failures  # noqa: SLF001 - hours of failures would have to pass

    assert loop._pause() == pause  # noqa: SLF001 - the same


async def test_a_failing_loop_makes_progress_and_one_that_hangs_does_not() -> None:
    now = 0.0
    watchdog = Watchdog(lambda: now)
    hanging = asyncio.Event()

    async def step() -> None:
        hanging.set()
        await asyncio.Event().wait()

    failing = Steps(failures=9)
    async with (
        running(Loop("failing", watchdog, failing, every=60)),
        running(Loop("hanging", watchdog, step, every=60)),
    ):
        await until(failing.reached(1))
        await hanging.wait()
        now = 25.0
        watchdog.beat("failing")
        now = 40.0
        assert watchdog.stalled() == ["hanging has finished no attempt for 40 s"]


async def test_a_loop_that_rests_is_no_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.loops.BEAT_EVERY", 0.01)
    now = 0.0
    watchdog, steps = Watchdog(lambda: now), Steps()
    async with running(Loop("resting", watchdog, steps, every=3600)):
        await until(steps.reached(1))
        now = 1000.0
        await until(lambda: watchdog.age("resting") == 0)

    assert steps.calls == 1


async def test_a_step_that_never_ends_is_no_longer_failing_once_it_works() -> None:
    loop = Loop("listener", Watchdog(), Steps(), every=60, after_failure=(1, 5))
    loop._failures = 9  # noqa: SLF001 - hours of failures would have to pass

    loop.recovered()

    assert loop._pause() == 60  # noqa: SLF001 - the same
