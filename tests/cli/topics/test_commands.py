"""The broker's topics are what the code declares, or the difference is named."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from common.settings import KafkaSettings
from contract.topics import TOPICS, Topic
from grafient.main import app
from grafient.topics import commands as topics
from grafient.topics.commands import bring_about, differences
from typer.testing import CliRunner

EXTRA = Topic("test.topics.v1", (), 2, {"cleanup.policy": "delete", "retention.ms": "1000"})


@pytest.fixture
async def settings(kafka: str) -> AsyncIterator[KafkaSettings]:
    yield KafkaSettings(kafka_bootstrap_servers=kafka)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.delete_topics([EXTRA.name])
    await admin.close()


async def test_every_declared_topic_stands_as_declared(kafka: str) -> None:
    found = await differences(KafkaSettings(kafka_bootstrap_servers=kafka))

    assert {one.topic for one in found} == {topic.name for topic in TOPICS}
    assert {one.state for one in found} == {"right"}


async def test_apply_creates_sets_and_refuses(settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "TOPICS", (EXTRA,))
    states = [(await bring_about(settings, 1))[0].state, (await differences(settings))[0].state]
    other = Topic(EXTRA.name, (), 2, EXTRA.config | {"retention.ms": "2000"})
    monkeypatch.setattr(topics, "TOPICS", (other,))
    states += [(await bring_about(settings, 1))[0].state, (await differences(settings))[0].state]
    monkeypatch.setattr(topics, "TOPICS", (Topic(EXTRA.name, (), 3, other.config),))
    (refused,) = await bring_about(settings, 1)

    assert states == ["missing", "right", "other_config", "right"]
    assert refused.refused
    assert "2 instead of 3" in refused.detail


async def test_check_says_it_for_programs(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)

    told = await asyncio.to_thread(CliRunner().invoke, app, ["topics", "check", "--json"])

    assert told.exit_code == 0, told.output
    assert {one["state"] for one in json.loads(told.stdout)} == {"right"}


def test_a_missing_setting_is_named() -> None:
    told = CliRunner().invoke(app, ["topics", "check"], env={"KAFKA_BOOTSTRAP_SERVERS": None})

    assert told.exit_code == 78
    assert "KAFKA_BOOTSTRAP_SERVERS is not set" in told.output.replace(": ", " ")
