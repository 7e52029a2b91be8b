from aiokafka import TopicPartition
from common.kafka.ranges import Span
from grafient.cli.topics import HANDLED_BY, not_committed

FIRST, SECOND = TopicPartition("topic", 0), TopicPartition("topic", 1)


def test_the_services_of_a_topic_are_those_that_may_read_it() -> None:
    assert HANDLED_BY["xai.integrations.v1"] == ("syncer", "ledger")
    assert "xai.dead-letters.v1" not in HANDLED_BY


def test_what_a_group_has_committed_is_not_left() -> None:
    whole = {FIRST: Span(3, 10), SECOND: Span(0, 5)}

    assert not_committed(whole, {FIRST: 7, SECOND: 5}) == {FIRST: Span(7, 10)}
    assert not_committed(whole, {FIRST: 1}) == whole
