"""Where the broker's topics differ from what the code declares: partitions, replicas, configuration."""

from dataclasses import dataclass

from common.kafka.client import admin_client
from common.kafka.found_topics import FoundTopic, Value, found_topics, replicas_wanted
from common.settings import KafkaSettings
from contract.topics import TOPICS, Topic, count_to_grow_to

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
            replication = await replicas_wanted(admin)
        found = await found_topics(admin, TOPICS)
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
