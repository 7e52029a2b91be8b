"""One poison is dead-lettered; when hardly a record is handled, none is."""

from common.kafka.dead_letter_limit import CAPACITY, DeadLetterLimit
from hypothesis import given
from hypothesis import strategies as st


def _taken(limit: DeadLetterLimit, tries: int) -> int:
    return sum(limit.take() for _ in range(tries))


def test_a_topic_of_which_nothing_is_handled_is_dead_lettered_up_to_the_limit() -> None:
    assert _taken(DeadLetterLimit("topic"), 1000) == CAPACITY


def test_records_that_are_handled_refill_the_limit() -> None:
    limit = DeadLetterLimit("topic")
    _taken(limit, 1000)

    limit.record_handled(25)
    assert _taken(limit, 1000) == 2
    limit.record_handled(1000)
    assert _taken(limit, 1000) == CAPACITY


@given(st.lists(st.booleans(), max_size=300))
def test_dead_letters_never_exceed_the_capacity_and_a_tenth_of_what_is_handled(handled: list[bool]) -> None:
    limit, taken = DeadLetterLimit("topic"), 0
    for one in handled:
        if one:
            limit.record_handled()
        else:
            taken += limit.take()

    assert taken <= CAPACITY + sum(handled) / 10
