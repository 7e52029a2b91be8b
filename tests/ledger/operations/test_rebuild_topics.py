"""In which order a rebuild reads a topic: as one, or partition by partition where it has grown."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from common.replay import ReplayHandlers, ReplayRequest, ReplaySettings
from contract.topics import COSTS, Topic
from ledger.operations import rebuild_topics
from ledger.operations.rebuild_topics import TopicReader
from pydantic import SecretStr

Bounds = list[tuple[object, object]]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the topic of costs ends with, and which ranges of it are read."""
    seen: dict[str, Any] = {"ends": {}, "ranges": []}

    class Consumer:
        async def partitions_of(self, topic: Topic) -> list[TopicPartition]:
            return [TopicPartition(topic.name, one) for one in seen["ends"]]

        async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
            return {one: seen["ends"][one.partition] for one in partitions}

    @asynccontextmanager
    async def reader(_: object) -> AsyncIterator[Consumer]:
        yield Consumer()

    async def replay(_: object, __: object, request: ReplayRequest, *___: object) -> SimpleNamespace:
        if request.topic is COSTS:
            seen["ranges"].append((request.since, request.until))
        return SimpleNamespace(read=1)

    monkeypatch.setattr(rebuild_topics, "reader", reader)
    monkeypatch.setattr(rebuild_topics, "replay", replay)
    monkeypatch.setattr(rebuild_topics, "replay_handlers", lambda *_: ReplayHandlers({}, _no_state))
    return seen


async def _no_state() -> dict[str, str]:
    return {}


def topic_reader() -> TopicReader:
    settings = ReplaySettings(
        kafka_bootstrap_servers="127.0.0.1:9", database_url=SecretStr("postgresql+psycopg://nobody@127.0.0.1:9/none")
    )
    return TopicReader(settings, lambda *_: None)


async def test_a_topic_as_declared_is_read_as_one_and_then_only_what_is_new(read: dict[str, Any]) -> None:
    topics, first, then = topic_reader(), dict.fromkeys(range(6), 10), dict.fromkeys(range(6), 12)
    for ends in (first, first, then):
        read["ends"] = ends
        await topics.catch_up(None)  # type: ignore[arg-type]  # nothing is written

    assert read["ranges"] == [(dict.fromkeys(range(6), 0), first), (first, then)]


async def test_a_topic_that_has_grown_is_read_from_its_first_partition_to_its_last(read: dict[str, Any]) -> None:
    read["ends"] = dict.fromkeys([11, *range(11)], 5)
    await topic_reader().catch_up(None)  # type: ignore[arg-type]  # nothing is written

    assert read["ranges"] == [({one: 0}, {one: 5}) for one in range(12)]
