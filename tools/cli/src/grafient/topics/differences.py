"""Where the broker's topics differ from what the code declares: partitions, replicas, configuration."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from common.kafka.client import admin_client
from common.settings import KafkaSettings
from contract.topics import DURABLE_REPLICAS, TOPICS, Topic, count_to_grow_to

SET_ON_TOPIC = 1
"""Kafka's code of a configuration value's source: this topic, not the broker's file or a default."""
NEXT_STEPS = {
    "missing": "`grafient topics apply --replication {replication}` creates it",
    "other_partitions": (
        "no service starts with it: stop all of them, run `grafient topics grow {topic} --partitions {partitions}`, and "
        "set TOPIC_PARTITIONS as it prints"
    ),
    "other_replicas": "`grafient topics replicas --plan --replication {replication}` writes the reassignment to run",
    "other_config": "`grafient topics apply` sets what is declared and removes what is not",
}
"""By state: what to do about it."""


class Value(NamedTuple):
    """A configuration value that is in force for a topic."""

    text: str | None
    set_on_topic: bool


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic as the broker describes it."""

    replicas: dict[int, tuple[int, ...]]
    """By partition: the IDs of its brokers, the preferred leader first."""
    config: dict[str, Value]

    @property
    def replication(self) -> int:
        """Replicas of the partition that has the fewest."""
        return min(map(len, self.replicas.values()))


@dataclass(frozen=True, slots=True)
class TopicDifference:
    """What a topic is, against what is declared."""

    topic: str
    problems: dict[str, str]
    """By state (a key of NEXT_STEPS), what differs; the gravest first. Empty where the topic is right."""
    wanted: int
    """Replicas that it should have."""
    replicas: int = 0
    """Replicas that it has."""
    partitions: int = 0
    """Partitions that it can grow to."""

    @property
    def state(self) -> str:
        """`right`, or the gravest problem."""
        return next(iter(self.problems), "right")

    @property
    def refused(self) -> bool:
        """`apply` cannot fix it: a new partition count splits the order of a key, new replicas need a reassignment."""
        return not self.problems.keys().isdisjoint({"other_partitions", "other_replicas"})

    def row(self) -> dict[str, str]:
        """For people and programs."""
        named = {"topic": self.topic, "replication": self.wanted, "partitions": self.partitions}
        steps = [NEXT_STEPS[state].format_map(named) for state in self.problems]
        return {
            "topic": self.topic,
            "state": self.state,
            "detail": "; ".join(self.problems.values()) or f"replicas: {self.replicas}",
            "next": "; then ".join(steps),
        }


async def topic_differences(settings: KafkaSettings, replication: int | None = None) -> list[TopicDifference]:
    """One line a declared topic. By default three replicas are right, or one for each broker where there are fewer."""
    async with admin_client(settings, "grafient-topics") as admin:
        if replication is None:
            replication = min(DURABLE_REPLICAS, len((await admin.describe_cluster())["brokers"]))
        found = await _found(admin)
    return [compare(topic, found.get(topic.name), settings.partitions_of(topic), replication) for topic in TOPICS]


def compare(topic: Topic, found: FoundTopic | None, wanted: int, replication: int) -> TopicDifference:
    """What `found` differs in from `wanted` partitions and the rest; more replicas than `replication` are right."""
    if found is None:
        return TopicDifference(topic.name, {"missing": f"{wanted} partitions"}, replication)
    partitions, problems = len(found.replicas), {}
    if partitions != wanted:
        detail = f"{partitions} partitions instead of {wanted}: refused"
        return TopicDifference(
            topic.name,
            {"other_partitions": detail},
            replication,
            found.replication,
            count_to_grow_to(wanted, partitions),
        )
    if found.replication < replication:
        problems["other_replicas"] = f"replicas: {found.replication} instead of {replication}"
    if wrong := _other_values(topic.config_with(found.replication), found.config):
        problems["other_config"] = ", ".join(wrong)
    return TopicDifference(topic.name, problems, replication, found.replication)


def _other_values(wanted: dict[str, str], config: dict[str, Value]) -> list[str]:
    texts = {name: value.text for name, value in config.items()}
    other = [f"{name}={texts.get(name)} instead of {text}" for name, text in wanted.items() if texts.get(name) != text]
    undeclared = sorted(name for name, value in config.items() if value.set_on_topic and name not in wanted)
    return other + [f"{name}={texts[name]} is set and not declared" for name in undeclared]


async def _found(admin: AIOKafkaAdminClient) -> dict[str, FoundTopic]:
    described = await admin.describe_topics([topic.name for topic in TOPICS])
    replicas = {one["topic"]: replicas_of(one) for one in described if not one["error_code"]}
    configs = await _configs(admin, list(replicas)) if replicas else {}
    return {name: FoundTopic(replicas[name], configs.get(name, {})) for name in replicas}


def replicas_of(described: dict[str, Any]) -> dict[int, tuple[int, ...]]:
    """By partition, from aiokafka's description of a topic."""
    return {one["partition"]: tuple(one["replicas"]) for one in described["partitions"]}


async def _configs(admin: AIOKafkaAdminClient, topics: list[str]) -> dict[str, dict[str, Value]]:
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, None) for name in topics]
    resources = [one for response in await admin.describe_configs(asked) for one in response.resources]
    return {
        name: {entry[0]: Value(entry[1], entry[3] == SET_ON_TOPIC) for entry in entries}
        for _, _, _, name, entries in resources
    }
