"""One bad message is given up; when hardly one is handled, none is."""

from common.kafka.dead_letter_limit import ROOM, Breaker
from hypothesis import given
from hypothesis import strategies as st


def _given_up(breaker: Breaker, tries: int, topic: str = "topic") -> int:
    return sum(breaker.may_give_up(topic) for _ in range(tries))


def test_a_topic_of_which_nothing_is_handled_is_given_up_only_so_far() -> None:
    breaker = Breaker()

    assert _given_up(breaker, 1000) == ROOM
    assert _given_up(breaker, 1, "another topic") == 1


def test_messages_that_are_handled_make_room_again() -> None:
    breaker = Breaker()
    _given_up(breaker, 1000)

    breaker.handled("topic", 25)
    assert _given_up(breaker, 1000) == 2
    breaker.handled("topic", 1000)
    assert _given_up(breaker, 1000) == ROOM


@given(st.lists(st.booleans(), max_size=300))
def test_never_more_is_given_up_than_a_tenth_of_what_is_handled_and_the_room(handled: list[bool]) -> None:
    breaker, gone = Breaker(), 0
    for one in handled:
        if one:
            breaker.handled("topic")
        else:
            gone += breaker.may_give_up("topic")

    assert gone <= ROOM + sum(handled) / 10
