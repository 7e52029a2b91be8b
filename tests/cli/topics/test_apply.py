"""The broker's topics become what the code declares, as far as that can be done in place."""

from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from common.settings import KafkaSettings
from contract.topics import Topic
from grafient.topics import apply, differences
from grafient.topics.apply import apply_topics
from grafient.topics.differences import topic_differences

EXTRA = Topic("test.topics.v1", (), 2, {"cleanup.policy": "delete", "retention.ms": "1000"})


@pytest.fixture
async def admin(kafka: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    yield admin
    await admin.delete_topics([EXTRA.name])
    await admin.close()


def declare(monkeypatch: pytest.MonkeyPatch, topic: Topic) -> None:
    for module in (apply, differences):
        monkeypatch.setattr(module, "TOPICS", (topic,))


async def states(settings: KafkaSettings, replication: int = 1) -> tuple[str, str]:
    """Before `apply`, and after it."""
    before = await apply_topics(settings, replication)
    return before[0].state, (await topic_differences(settings))[0].state


async def test_apply_creates_sets_removes_and_refuses(
    kafka: str, admin: AIOKafkaAdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = KafkaSettings(kafka_bootstrap_servers=kafka)
    declare(monkeypatch, EXTRA)
    assert await states(settings) == ("missing", "right")

    other = Topic(EXTRA.name, (), 2, EXTRA.config | {"retention.ms": "2000"})
    declare(monkeypatch, other)
    assert await states(settings) == ("other_config", "right")

    set_by_hand = other.config | {"retention.bytes": "5", "unclean.leader.election.enable": "true"}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, EXTRA.name, set_by_hand)])
    (found,) = await topic_differences(settings)
    assert found.row()["detail"] == (
        "unclean.leader.election.enable=true instead of false, retention.bytes=5 is set and not declared"
    )
    assert await states(settings) == ("other_config", "right")

    assert await states(settings, replication=3) == ("other_replicas", "right"), "one broker cannot hold three"

    declare(monkeypatch, Topic(EXTRA.name, (), 3, other.config))
    assert await states(settings) == ("other_partitions", "other_partitions")
