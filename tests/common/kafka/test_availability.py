"""Whether records are acknowledged: when that is known, who still tries, and what ends it."""

import logging

import pytest
from common.errors import TransientError
from common.kafka.availability import RETRY_SECONDS, STUCK_SECONDS, Acknowledgements, note, unavailable
from structlog.testing import capture_logs

from tests.support.fakes import MonotonicClock


@pytest.fixture
def clock() -> MonotonicClock:
    return MonotonicClock(1000.0)


@pytest.fixture
def stuck(clock: MonotonicClock) -> Acknowledgements:
    """One record has waited, and was not acknowledged."""
    acknowledgements = Acknowledgements(clock)
    begun = acknowledgements.begin()
    clock.now += STUCK_SECONDS
    acknowledgements.failed(begun)
    return acknowledgements


def tries(acknowledgements: Acknowledgements) -> bool:
    """Whether one more attempt is let through."""
    try:
        acknowledgements.begin()
    except TransientError:
        return False
    return True


def test_while_nothing_is_acknowledged_one_attempt_in_two_seconds_is_made(
    stuck: Acknowledgements, clock: MonotonicClock
) -> None:
    assert [tries(stuck) for _ in range(3)] == [True, False, False]
    clock.now += RETRY_SECONDS
    assert [tries(stuck) for _ in range(3)] == [True, False, False]


def test_a_refusal_names_the_time_and_when_to_try_again(stuck: Acknowledgements, clock: MonotonicClock) -> None:
    stuck.begin()
    clock.now += 1
    with pytest.raises(TransientError, match="no record was acknowledged for 16 s") as refused:
        stuck.begin()
    assert refused.value.retry_after == RETRY_SECONDS


def test_one_acknowledgement_ends_it(stuck: Acknowledgements) -> None:
    stuck.came()
    assert stuck.missing() is None
    assert [tries(stuck) for _ in range(3)] == [True] * 3


def test_a_record_that_fails_while_others_are_acknowledged_proves_nothing(clock: MonotonicClock) -> None:
    acknowledgements = Acknowledgements(clock)
    begun = acknowledgements.begin()
    clock.now += 1
    acknowledgements.came()
    clock.now += STUCK_SECONDS
    acknowledgements.failed(begun)
    assert acknowledgements.missing() is None


def test_a_record_that_failed_sooner_proves_nothing(clock: MonotonicClock) -> None:
    acknowledgements = Acknowledgements(clock)
    begun = acknowledgements.begin()
    clock.now += STUCK_SECONDS - 1
    acknowledgements.failed(begun)
    assert acknowledgements.missing() is None


def test_a_server_is_unavailable_until_it_answers_and_each_change_is_logged_once() -> None:
    server = ("broker.example", 9092)
    with capture_logs() as logs:
        for _ in range(2):
            note(server, answers=False)
        assert server in unavailable
        for _ in range(2):
            note(server, answers=True)
        note(None, answers=False)
    assert server not in unavailable
    assert [(one["event"], one["server"]) for one in logs] == [
        ("broker.unavailable", "broker.example:9092"),
        ("broker.available", "broker.example:9092"),
    ]


def test_a_command_can_switch_off_what_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    note(("broker.example", 9092), answers=False)
    note(("broker.example", 9092), answers=True)
    logger.setLevel(level)
    assert capsys.readouterr() == ("", "")
