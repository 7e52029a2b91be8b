"""A service names the topics that may lose records with a broker, and works all the same."""

import pytest
from common.kafka.durability import warn_of_weak_topics, weaknesses
from common.kafka.found_topics import FoundTopic, Value
from common.settings import KafkaSettings
from contract.topics import COSTS
from grafient.topics.apply import apply_topics
from structlog.testing import capture_logs

from tests.support.consumer_bench import Bench
from tests.support.waiting import until

UNCLEAN = {"unclean.leader.election.enable": "true"}


@pytest.mark.parametrize(
    ("replicas", "config", "problems"),
    [
        (3, {}, []),
        (3, {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}, []),
        (1, {}, ["replicas: 1 instead of 3"]),
        (3, {"min.insync.replicas": "1"}, ["min.insync.replicas=1 instead of 2"]),
        (3, UNCLEAN, ["unclean.leader.election.enable=true instead of false"]),
    ],
)
def test_what_may_lose_records_is_named(replicas: int, config: dict[str, str], problems: list[str]) -> None:
    values = {name: Value(text, set_on_topic=True) for name, text in config.items()}

    assert weaknesses(COSTS, FoundTopic({0: tuple(range(replicas))}, values), wanted=3) == problems


async def test_one_line_a_weak_topic_is_logged_and_none_of_a_right_one(kafka: str, bench: Bench) -> None:
    settings = KafkaSettings(kafka_bootstrap_servers=kafka)
    await apply_topics(settings, 1)
    await bench.configure({"min.insync.replicas": "2"})

    async def warnings() -> list[tuple[str, list[str]]]:
        with capture_logs() as logs:
            await warn_of_weak_topics(settings, (COSTS, bench.topic))
        return [(one["topic"], one["problems"]) for one in logs if one["event"] == "topic.weak"]

    # the broker takes a value some time after the controller did
    assert await until(warnings) == [(bench.topic.name, ["min.insync.replicas=2 instead of 1"])]


async def test_a_broker_that_does_not_answer_is_left_to_those_who_need_it() -> None:
    with capture_logs() as logs:
        await warn_of_weak_topics(KafkaSettings(kafka_bootstrap_servers="127.0.0.1:1"), (COSTS,))

    assert "topic.weak" not in [one["event"] for one in logs]
