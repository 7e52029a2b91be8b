"""Many failures one after another open the circuit; probes find out when they are over."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st
from syncer.xai.circuit_breaker import FIRST_PAUSE, LONGEST_PAUSE, CircuitBreaker

from tests.support.fakes import MonotonicClock

AT = datetime(2026, 11, 20, tzinfo=UTC)


def _open(circuit: CircuitBreaker, count: int) -> None:
    for number in range(count):
        circuit.record_failure(f"team-{number}", AT)


def test_a_circuit_opens_when_many_fail_without_a_success_between_them() -> None:
    circuit = CircuitBreaker(3, MonotonicClock())
    _open(circuit, 2)
    circuit.record_failure("team-0", AT)
    assert not circuit.is_open

    circuit.record_success()
    _open(circuit, 2)
    assert not circuit.is_open
    assert circuit.record_failure("team-9", AT)
    assert circuit.is_open


def test_failures_far_apart_open_nothing() -> None:
    circuit = CircuitBreaker(3, MonotonicClock())
    for number in range(9):
        circuit.record_failure(f"team-{number}", AT + number * timedelta(minutes=3))

    assert not circuit.is_open


def test_an_open_circuit_lets_one_call_through_at_growing_intervals() -> None:
    clock = MonotonicClock()
    circuit = CircuitBreaker(3, clock)
    _open(circuit, 3)
    pauses = []
    for _ in range(6):
        pauses.append(circuit.wait())
        clock.now += circuit.wait()
        assert circuit.wait() == 0
        circuit.record_probe()
        assert circuit.wait() > 0
        circuit.record_failure(str(uuid4()), AT)

    assert pauses == [FIRST_PAUSE * factor for factor in (1, 2)] + [LONGEST_PAUSE] * 4


def test_calls_in_flight_when_it_opened_delay_no_probe() -> None:
    circuit = CircuitBreaker(3, MonotonicClock())
    _open(circuit, 3)
    for _ in range(5):
        circuit.record_failure(str(uuid4()), AT)

    assert circuit.wait() == FIRST_PAUSE


def test_a_success_closes_and_answers_when_the_first_failure_was() -> None:
    circuit = CircuitBreaker(2, MonotonicClock())
    circuit.record_failure(str(uuid4()), AT)
    circuit.record_failure(str(uuid4()), AT + timedelta(seconds=7))

    assert circuit.record_success() == AT
    assert (circuit.is_open, circuit.wait(), circuit.record_success()) == (False, 0.0, None)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60))
def test_whatever_happens_a_success_lets_everybody_through(calls: list[tuple[int, bool]]) -> None:
    circuit = CircuitBreaker(3, MonotonicClock())
    for who, went_well in calls:
        _ = circuit.record_success() if went_well else circuit.record_failure(f"team-{who}", AT)

    circuit.record_success()
    assert circuit.wait() == 0
