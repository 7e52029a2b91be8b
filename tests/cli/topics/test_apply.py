"""The broker's topics are what the code declares, or the difference is named."""

from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from common.settings import KafkaSettings
from contract.topics import TOPICS, Topic
from grafient.topics import apply
from grafient.topics.apply import apply_topics, topic_differences

EXTRA = Topic("test.topics.v1", (), 2, {"cleanup.policy": "delete", "retention.ms": "1000"})


@pytest.fixture
async def settings(kafka: str) -> AsyncIterator[KafkaSettings]:
    yield KafkaSettings(kafka_bootstrap_servers=kafka)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.delete_topics([EXTRA.name])
    await admin.close()


async def test_every_declared_topic_is_as_declared(kafka: str) -> None:
    found = await topic_differences(KafkaSettings(kafka_bootstrap_servers=kafka))

    assert {one.topic for one in found} == {topic.name for topic in TOPICS}
    assert {one.state for one in found} == {"right"}


async def test_apply_creates_sets_and_refuses(settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "TOPICS", (EXTRA,))
    states = [(await apply_topics(settings, 1))[0].state, (await topic_differences(settings))[0].state]
    other = Topic(EXTRA.name, (), 2, EXTRA.config | {"retention.ms": "2000"})
    monkeypatch.setattr(apply, "TOPICS", (other,))
    states += [(await apply_topics(settings, 1))[0].state, (await topic_differences(settings))[0].state]
    monkeypatch.setattr(apply, "TOPICS", (Topic(EXTRA.name, (), 3, other.config),))
    (refused,) = await apply_topics(settings, 1)

    assert states == ["missing", "right", "other_config", "right"]
    assert refused.refused
    assert "2 instead of 3" in refused.detail
