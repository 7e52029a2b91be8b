"""Bring the broker's topics to what the code declares, as far as that can be done in place."""

import asyncio
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError
from common.errors import UserError
from common.kafka.client import admin_client
from common.settings import KafkaSettings
from contract.topics import TOPICS, Topic

from grafient.topics.differences import TopicDifference, topic_differences

APPEAR_DEADLINE = 30.0
"""Seconds until the brokers know a topic that was just created."""


async def apply_topics(settings: KafkaSettings, replication: int) -> list[TopicDifference]:
    """Create missing topics and set configurations; returns what differed before. Raises UserError."""
    found = await topic_differences(settings, replication)
    by_name = {topic.name: topic for topic in TOPICS}
    missing = [by_name[one.topic] for one in found if "missing" in one.problems]
    differing = [_resource(by_name[one.topic], one.replicas) for one in found if "other_config" in one.problems]
    async with admin_client(settings, "grafient-topics") as admin:
        if missing:
            result = await admin.create_topics([_new(topic, settings, replication) for topic in missing])
            _raise_for(result.topic_errors)
            await _appeared(admin, missing)
        if differing:
            await admin.alter_configs(differing)
    return found


def _resource(topic: Topic, replicas: int) -> ConfigResource:
    """Its whole configuration: what it does not name, the broker removes from the topic."""
    return ConfigResource(ConfigResourceType.TOPIC, topic.name, topic.config_with(replicas))


def _new(topic: Topic, settings: KafkaSettings, replication: int) -> NewTopic:
    config = topic.config_with(replication)
    return NewTopic(topic.name, settings.partitions_of(topic), replication, topic_configs=config)


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
