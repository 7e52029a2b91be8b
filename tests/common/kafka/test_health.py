"""A subscriber that is stuck is seen; one that has nothing to do raises no alarm."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from common.kafka.delivery import Unfinished
from common.kafka.health import backlog_age, subscriber_problem
from common.watchdog import STALLED_AFTER, Watchdog
from contract.topics import COSTS

from tests.support.consumer_bench import Bench
from tests.support.fakes import MonotonicClock
from tests.support.messages import raw_record
from tests.support.waiting import until

PARTITION = TopicPartition(COSTS.name, 0)


class Stuck:
    """A subscriber as FastStream keeps it, of which nothing moves."""

    def __init__(self, *, position: int, end: int) -> None:
        self.running = True
        self.tasks: list[Any] = [_task(done=False)]
        assignment = SimpleNamespace(all_consumed_offsets=lambda: {PARTITION: SimpleNamespace(offset=position)})
        self.consumer = SimpleNamespace(
            highwater=lambda _: end,
            _subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment)),
            _coordinator=SimpleNamespace(_coordination_task=_task(done=False)),
        )


def _task(*, done: bool) -> object:
    return SimpleNamespace(done=lambda: done)


def problems(subscriber: object, *after: float) -> list[str | None]:
    """What is reported at once, and after each of the waits in seconds."""
    clock = MonotonicClock(1000.0)
    watchdog = Watchdog(clock)
    found: list[str | None] = []
    for wait in (0.0, *after):
        clock.now += wait
        found.append(subscriber_problem(subscriber, COSTS, watchdog))  # type: ignore[arg-type]  # it has what is looked at
    return found


def test_a_subscriber_without_records_is_never_stuck() -> None:
    assert problems(Stuck(position=7, end=7), STALLED_AFTER * 10, STALLED_AFTER * 10) == [None] * 3


def test_a_record_that_waits_and_is_not_handled_is_seen() -> None:
    assert problems(Stuck(position=7, end=8), STALLED_AFTER, 1.0) == [
        None,
        None,
        f"{COSTS.name} has records and none was handled for 31 s",
    ]


def test_a_record_that_came_after_a_long_silence_is_no_alarm() -> None:
    clock = MonotonicClock(1000.0)
    watchdog = Watchdog(clock)
    silent, busy = Stuck(position=7, end=7), Stuck(position=7, end=8)
    assert subscriber_problem(silent, COSTS, watchdog) is None  # type: ignore[arg-type]  # it has what is looked at
    clock.now += 10
    assert subscriber_problem(busy, COSTS, watchdog) is None  # type: ignore[arg-type]  # the same


def test_what_waits_is_as_old_as_the_oldest_record_that_was_delivered_and_not_handled() -> None:
    behind, done = Stuck(position=7, end=8), Stuck(position=8, end=8)
    unfinished = Unfinished()
    assert _age(behind, unfinished) == 0

    now = time.time()
    records = [
        raw_record(COSTS, b"{}", offset=number, timestamp=int(now - age) * 1000) for number, age in ((6, 90), (7, 600))
    ]
    unfinished.begin(records)
    assert _age(done, unfinished) == pytest.approx(600, abs=5)

    unfinished.end(records)
    assert _age(behind, unfinished) == pytest.approx(600, abs=5)
    assert _age(done, unfinished) == 0

    unfinished.begin(records)
    unfinished.forget({PARTITION})
    assert _age(done, unfinished) == 0


def _age(subscriber: Stuck, unfinished: Unfinished) -> float:
    return backlog_age(subscriber, unfinished)  # type: ignore[arg-type]  # it has what is looked at


def test_a_loop_that_ended_is_seen_and_one_that_was_replaced_is_not() -> None:
    subscriber = Stuck(position=7, end=7)
    subscriber.tasks = [_task(done=True)]
    assert problems(subscriber) == [f"the consumer of {COSTS.name} has ended"]
    subscriber.tasks += [_task(done=False)]
    assert problems(subscriber) == [None]


@pytest.mark.parametrize("task", ["_coordination_task", "_heartbeat_task"])
def test_a_membership_that_ended_is_seen(task: str) -> None:
    subscriber = Stuck(position=7, end=7)
    setattr(subscriber.consumer._coordinator, task, _task(done=True))  # noqa: SLF001 - that is what is looked at
    assert problems(subscriber) == [f"the consumer of {COSTS.name} is no member of its group any more"]


async def test_a_real_consumer_without_heartbeats_is_noticed(bench: Bench) -> None:
    await bench.send("one")
    async with bench.consuming() as watchdog:
        await until(lambda: bench.handled == ["one"])
        (subscriber,) = bench.subscribers
        subscriber.consumer._coordinator._heartbeat_task.cancel()  # noqa: SLF001 - to end it

        await until(lambda: bool(watchdog.stalled()))

        assert "no member of its group" in watchdog.stalled()[0]


async def test_a_real_consumer_is_alive_while_idle_and_seen_when_its_loop_or_membership_ends(bench: Bench) -> None:
    await bench.send("one")
    async with bench.consuming() as watchdog:
        await until(lambda: bench.handled == ["one"])
        assert watchdog.stalled() == []
        (subscriber,) = bench.subscribers
        membership = subscriber.consumer._coordinator._coordination_task  # noqa: SLF001 - to end it
        membership.cancel()
        await asyncio.wait([membership])
        (problem,) = watchdog.stalled()
        assert "no member of its group" in problem or "has ended" in problem  # the loop may end of it at once
        loop = subscriber.tasks[0]
        loop.cancel()
        await asyncio.wait([loop])
        assert "has ended" in watchdog.stalled()[0]
