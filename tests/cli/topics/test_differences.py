"""What differs between a topic and its declaration, and what to do about it."""

from common.kafka.found_topics import FoundTopic, Value
from common.settings import KafkaSettings
from contract.topics import TOPICS, Topic
from grafient.topics.differences import (
    NEXT_STEPS,
    TopicDifference,
    compare,
    topic_differences,
)

TOPIC = Topic("test.topics.v1", (), 2, {"cleanup.policy": "delete", "retention.ms": "1000"})
INHERITED = {"segment.bytes": Value("1073741824", set_on_topic=False)}


def found(replicas: int = 3, partitions: int = 2, **other: Value) -> FoundTopic:
    config = {name: Value(text, set_on_topic=True) for name, text in TOPIC.config_with(replicas).items()}
    changed = {name.replace("_", "."): value for name, value in other.items()}
    return FoundTopic(dict.fromkeys(range(partitions), tuple(range(replicas))), config | INHERITED | changed)


def differing(topic: FoundTopic | None, replication: int = 3) -> TopicDifference:
    return compare(TOPIC, topic, 2, replication)


async def test_every_topic_of_the_broker_is_as_declared(kafka: str) -> None:
    compared = await topic_differences(KafkaSettings(kafka_bootstrap_servers=kafka))

    assert {one.topic for one in compared} == {topic.name for topic in TOPICS}
    assert {(one.state, one.replicas) for one in compared} == {("right", 1)}


def test_a_topic_as_declared_is_right_also_with_more_replicas() -> None:
    right = differing(found(replicas=4)).row()

    assert right == {"topic": TOPIC.name, "state": "right", "detail": "replicas: 4", "next": ""}


def test_a_missing_topic_is_created_by_apply() -> None:
    row = differing(None).row()

    assert (row["state"], row["next"]) == ("missing", "`grafient topics apply --replication 3` creates it")


def test_another_partition_count_is_refused() -> None:
    other = differing(found(partitions=3))

    assert other.refused
    assert other.row()["detail"] == "3 partitions instead of 2: refused"
    assert f"`grafient topics grow {TOPIC.name} --partitions 4`" in other.row()["next"]


def test_one_partition_with_one_replica_makes_a_topic_wrong_and_a_reassignment_comes_first() -> None:
    topic = found(replicas=3)
    topic.replicas[1] = (0,)
    other = differing(topic)

    assert (other.state, other.refused) == ("other_replicas", True)
    assert other.row()["detail"].startswith("replicas: 1 instead of 3; min.insync.replicas=2 instead of 1")
    assert other.row()["next"].startswith("`grafient topics replicas --plan --replication 3`")


def test_one_replica_is_enough_where_one_is_requested() -> None:
    assert differing(found(replicas=1), replication=1).state == "right"


def test_the_replicas_in_sync_follow_from_what_a_topic_has_not_from_what_it_should_have() -> None:
    """Two in sync on a topic of one replica would refuse every record."""
    assert TOPIC.config_with(1)["min.insync.replicas"] == "1"
    assert TOPIC.config_with(3)["min.insync.replicas"] == "2"


def test_a_write_that_one_replica_acknowledges_is_named() -> None:
    other = differing(found(min_insync_replicas=Value("1", set_on_topic=False)))

    assert other.row()["detail"] == "min.insync.replicas=1 instead of 2"


def test_unclean_election_is_named_wherever_it_is_set() -> None:
    other = differing(found(unclean_leader_election_enable=Value("true", set_on_topic=False)))

    assert other.row()["detail"] == "unclean.leader.election.enable=true instead of false"


def test_a_value_that_is_set_and_not_declared_is_named_and_an_inherited_one_is_not() -> None:
    other = differing(found(retention_bytes=Value("5", set_on_topic=True)))

    assert (other.state, other.refused) == ("other_config", False)
    assert other.row()["detail"] == "retention.bytes=5 is set and not declared"
    assert other.row()["next"] == NEXT_STEPS["other_config"]
