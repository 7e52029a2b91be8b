"""Topics as the broker describes them: replicas and configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from contract.topics import DURABLE_REPLICAS, Topic

SET_ON_TOPIC = 1
"""Kafka's code of a configuration value's source: this topic, not the broker's file or a default."""


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
    """Empty where the broker refuses to say."""

    @property
    def replication(self) -> int:
        """Replicas of the partition that has the fewest."""
        return min(map(len, self.replicas.values()))


async def replicas_wanted(admin: AIOKafkaAdminClient) -> int:
    """Three, or one for each broker where there are fewer."""
    return min(DURABLE_REPLICAS, len((await admin.describe_cluster())["brokers"]))


async def found_topics(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> dict[str, FoundTopic]:
    """By name, without those that are missing."""
    described = await admin.describe_topics([topic.name for topic in topics])
    replicas = {
        one["topic"]: {part["partition"]: tuple(part["replicas"]) for part in one["partitions"]}
        for one in described
        if not one["error_code"]
    }
    configs = await _configs(admin, list(replicas)) if replicas else {}
    return {name: FoundTopic(replicas[name], configs.get(name, {})) for name in replicas}


async def _configs(admin: AIOKafkaAdminClient, topics: list[str]) -> dict[str, dict[str, Value]]:
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, None) for name in topics]
    resources = [one for response in await admin.describe_configs(asked) for one in response.resources]
    return {
        name: {entry[0]: Value(entry[1], entry[3] == SET_ON_TOPIC) for entry in entries}
        for _, _, _, name, entries in resources
    }
