"""Whatever happens, what is logged about trouble is bounded, and all of it is counted."""

import io
import logging
from collections import Counter

import pytest
from common.log_limit import BYTES, LOOK_EVERY, MOST_KINDS, OTHERS, WITHIN, Kind, LimitedHandler, LogLimit, kind_of
from hypothesis import given
from hypothesis import strategies as st

OURS = Kind("loops", logging.WARNING, "relay.failed", ours=True)
LIBRARY = Kind("aiokafka.conn", logging.ERROR, "Unable to connect to node %s")


class Log:
    """What was written, with the clock's time, and what should have been."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[tuple[float, str]] = []
        self.limit = LogLimit(self._write, self._count, lambda: self.now)

    def _write(self, line: str) -> None:
        self.lines.append((self.now, line))

    def _count(self, kind: Kind, repeated: int, seconds: int) -> str:
        return f"{kind.event} repeated {repeated} times in {seconds} s"

    def happens(self, kind: Kind, line: str = "whole") -> None:
        self.limit.take(kind, lambda: line)

    def passes(self, seconds: float) -> None:
        for _ in range(int(seconds // LOOK_EVERY)):
            self.now += LOOK_EVERY
            self.limit.look()

    @property
    def texts(self) -> list[str]:
        return [line for _, line in self.lines]


def test_the_first_line_is_whole_and_the_others_are_counted_once_a_minute() -> None:
    log = Log()
    for _ in range(232):
        log.happens(LIBRARY, "Unable to connect to node 1")
    assert log.texts == ["Unable to connect to node 1"]

    log.passes(WITHIN)
    assert log.texts[1:] == ["Unable to connect to node %s repeated 231 times in 60 s"]

    log.happens(LIBRARY)
    log.passes(WITHIN)
    assert log.texts[2:] == ["Unable to connect to node %s repeated 1 times in 60 s"]


def test_what_has_not_happened_for_a_minute_is_whole_again() -> None:
    log = Log()
    for _ in range(2):
        log.happens(OURS)
        log.passes(2 * WITHIN)
    assert log.texts == ["whole", "whole"]
    assert not log.limit.waiting


def test_libraries_leave_room_for_our_own_lines() -> None:
    log = Log()
    for number in range(50):
        log.happens(LIBRARY._replace(event=f"library {number}"), "x" * 500)
    before = len(log.lines)
    log.happens(OURS, "y" * 4000)
    assert 0 < before < 50
    assert log.texts[before:] == ["y" * 4000]


def test_a_first_line_without_room_is_written_later_and_whole() -> None:
    log = Log()
    for number in range(9):
        log.happens(OURS._replace(event=f"event {number}"), str(number) * 2000)
    assert len(log.lines) == 4
    log.passes(4 * WITHIN)
    assert log.texts == [str(number) * 2000 for number in range(9)]


def test_a_line_that_never_fits_is_counted() -> None:
    log = Log()
    log.happens(OURS, "x" * BYTES)
    log.passes(WITHIN)
    assert log.texts == ["relay.failed repeated 1 times in 60 s"]


def test_too_many_kinds_are_counted_together() -> None:
    log = Log()
    for number in range(3 * MOST_KINDS):
        log.happens(OURS._replace(event=f"event {number}"), "whole")
    log.limit.close()
    assert log.texts[-1] == f"{OTHERS} repeated {2 * MOST_KINDS - 1} times in 0 s"


def test_the_end_of_a_process_writes_what_waits() -> None:
    log = Log()
    for number in range(9):
        log.happens(OURS._replace(event=f"event {number}"), str(number) * 2000)
    log.happens(OURS._replace(event="event 0"))
    log.limit.close()
    assert sorted(log.texts) == sorted([*(str(n) * 2000 for n in range(9)), "event 0 repeated 1 times in 0 s"])


KINDS = [
    Kind("any", level, f"event {number}", ours=ours)
    for number in range(30)
    for level in (logging.WARNING, logging.ERROR)
    for ours in (True, False)
]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(range(len(KINDS))), st.integers(1, 300), st.integers(0, 5000), st.sampled_from([0, 10, 70])
    ),
    max_size=80,
)


@given(STEPS)
def test_whatever_happens_the_bound_holds_first_lines_are_whole_and_counts_add_up(
    steps: list[tuple[int, int, int, int]],
) -> None:
    """Steps: which kind, how often, bytes of its line, and how many seconds pass then."""
    now, lines = 0.0, list[tuple[float, str]]()
    limit = LogLimit(
        lambda line: lines.append((now, line)),
        lambda kind, repeated, _: f"{KINDS.index(kind)} {repeated}",
        lambda: now,
    )
    taken = Counter[int]()
    for number, times, size, seconds in steps:
        for _ in range(times):
            limit.take(KINDS[number], lambda: f"{number} whole {'x' * size}")  # noqa: B023 - called at once
        taken[number] += times
        for _ in range(seconds // 10):
            now += 10
            limit.look()
    bounded = [(at, len(line) + 1) for at, line in lines]
    limit.close()

    assert all(sum(size for at, size in bounded if 0 <= at - began < WITHIN) <= BYTES for began, _ in bounded)
    written, whole = Counter[int](), set[int]()
    for _, line in lines:
        kind, what = line.split()[:2]
        written[int(kind)] += 1 if what == "whole" else int(what)
        if what == "whole":
            whole.add(int(kind))
        else:
            assert int(kind) in whole, "counted before its first line"
    assert written == taken
    assert whole == set(taken)


def record(logger: str, level: int, message: object, *values: object) -> logging.LogRecord:
    return logging.LogRecord(logger, level, "", 0, message, values, None)


def test_values_and_numbers_make_no_kind_and_causes_do() -> None:
    one, other = (record("aiokafka", logging.ERROR, "node %s", node) for node in ("a", "b"))
    assert kind_of(one) == kind_of(other)
    task = "Task <Task pending coro=<f() at 0x7f{}>>"
    assert kind_of(record("asyncio", 40, task.format("00"))) == kind_of(record("asyncio", 40, task.format("a1")))

    ours = {"event": "message.waits", "topic": "xai.costs.v1", "offset": 7, "error": "KafkaError"}
    assert kind_of(record("any", 30, ours)) == kind_of(record("any", 30, ours | {"offset": 8}))
    assert kind_of(record("any", 30, ours)) != kind_of(record("any", 30, ours | {"error": "TimeoutError"}))
    assert kind_of(record("any", 30, ours)) != kind_of(record("any", 30, ours | {"server": "kafka-1:9092"}))
    assert kind_of(record("any", 30, ours)) != kind_of(record("any", 30, ours | {"exc_info": ValueError()}))


@pytest.fixture
def handler() -> LimitedHandler:
    return LimitedHandler(io.StringIO())


def test_lines_of_work_are_not_limited(handler: LimitedHandler) -> None:
    for _ in range(100):
        handler.handle(record("worker", logging.INFO, "window.published"))
    assert handler.stream.getvalue().count("window.published") == 100  # type: ignore[attr-defined]  # a StringIO
