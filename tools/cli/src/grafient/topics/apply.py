"""Bring the broker's topics to what the code declares, or find where they differ."""

import asyncio
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError
from common.errors import UserError
from common.kafka.client import admin_client
from common.settings import KafkaSettings
from contract.topics import TOPICS, Topic

DURABLE_REPLICAS = 3
APPEAR_DEADLINE = 30.0
"""Seconds until the brokers know a topic that was just created."""


@dataclass(frozen=True, slots=True)
class TopicDifference:
    """What a topic is, against what is declared."""

    topic: str
    state: str
    """`right`, `missing`, `other_partitions` or `other_config`."""
    detail: str

    @property
    def refused(self) -> bool:
        """Cannot be fixed in place: the records of a key would lose their order."""
        return self.state == "other_partitions"


async def apply_topics(settings: KafkaSettings, replication: int) -> list[TopicDifference]:
    """Create missing topics and set configurations; returns what differed before. Raises UserError."""
    found = await topic_differences(settings)
    by_name = {topic.name: topic for topic in TOPICS}
    missing = [by_name[one.topic] for one in found if one.state == "missing"]
    differing = [by_name[one.topic] for one in found if one.state == "other_config"]
    async with admin_client(settings, "grafient-topics") as admin:
        if missing:
            result = await admin.create_topics([_new(topic, replication) for topic in missing])
            _raise_for(result.topic_errors)
            await _appeared(admin, missing)
        if differing:
            await admin.alter_configs([_resource(topic, _config(topic, replication)) for topic in differing])
    return found


async def topic_differences(settings: KafkaSettings) -> list[TopicDifference]:
    """One line a declared topic."""
    async with admin_client(settings, "grafient-topics") as admin:
        described = await admin.describe_topics([topic.name for topic in TOPICS])
        partitions = {one["topic"]: len(one["partitions"]) for one in described if not one["error_code"]}
        known = [topic for topic in TOPICS if topic.name in partitions]
        configs = await _configs(admin, known) if known else {}
    return [_difference(topic, partitions.get(topic.name, 0), configs.get(topic.name, {})) for topic in TOPICS]


def _difference(topic: Topic, partitions: int, config: dict[str, str]) -> TopicDifference:
    if not partitions:
        return TopicDifference(topic.name, "missing", f"{topic.partitions} partitions")
    if partitions != topic.partitions:
        detail = f"{partitions} instead of {topic.partitions}: refused"
        return TopicDifference(topic.name, "other_partitions", detail)
    wrong = [
        f"{name}={config.get(name)} instead of {value}"
        for name, value in topic.config.items()
        if config.get(name) != value
    ]
    state = "other_config" if wrong else "right"
    return TopicDifference(topic.name, state, ", ".join(wrong) or f"{partitions} partitions")


async def _configs(admin: AIOKafkaAdminClient, topics: list[Topic]) -> dict[str, dict[str, str]]:
    responses = await admin.describe_configs([_resource(topic, None) for topic in topics])
    resources = [resource for response in responses for resource in response.resources]
    return {resource[3]: {entry[0]: entry[1] for entry in resource[4]} for resource in resources}


def _resource(topic: Topic, config: dict[str, str] | None) -> ConfigResource:
    return ConfigResource(ConfigResourceType.TOPIC, topic.name, config)


def _new(topic: Topic, replication: int) -> NewTopic:
    return NewTopic(topic.name, topic.partitions, replication, topic_configs=_config(topic, replication))


def _config(topic: Topic, replication: int) -> dict[str, str]:
    durable = replication >= DURABLE_REPLICAS
    return topic.config | {
        "min.insync.replicas": "2" if durable else "1",
        "unclean.leader.election.enable": "false",
    }


async def _appeared(admin: AIOKafkaAdminClient, topics: list[Topic]) -> None:
    """Wait until the brokers know what was just created."""
    async with asyncio.timeout(APPEAR_DEADLINE):
        while any(one["error_code"] for one in await admin.describe_topics([topic.name for topic in topics])):
            await asyncio.sleep(0.05)


def _raise_for(errors: list[tuple[Any, ...]]) -> None:
    """A topic that another `apply` has created meanwhile is no failure."""
    failed = [f"{error[0]}: {error[2]}" for error in errors if error[1] not in {0, TopicAlreadyExistsError.errno}]
    if failed:
        raise UserError(f"topics not created: {'; '.join(failed)}", "`grafient topics check` shows what is missing")
