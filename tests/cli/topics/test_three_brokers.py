"""On three brokers: topics with one replica are named, reassigned by Kafka's own tool, and then right."""

import asyncio
from pathlib import Path

import pytest
from common.settings import KafkaSettings
from contract.topics import TOPICS
from grafient.topics.apply import apply_topics
from grafient.topics.differences import topic_differences
from grafient.topics.replicas import plan, replicas

from tests.support.three_brokers import three_brokers

pytestmark = [pytest.mark.system, pytest.mark.thorough]


async def states(settings: KafkaSettings) -> set[str]:
    return {one.state for one in await topic_differences(settings)}


async def test_topics_with_one_replica_get_three_and_stay_writable_on_the_way(tmp_path: Path) -> None:
    async with three_brokers(tmp_path) as cluster:
        settings = cluster.settings()
        await apply_topics(settings, 1)
        assert await states(settings) == {"other_replicas"}

        planned = plan(*await replicas(settings), 3)
        await cluster.reassign(planned)
        async with asyncio.timeout(60):
            while any(len(one.in_sync) < 3 for one in (await replicas(settings))[0]):
                await asyncio.sleep(0.2)
        assert await states(settings) == {"other_config"}, "one replica in sync is still enough for a write"

        await apply_topics(settings, 3)
        assert await states(settings) == {"right"}
        assert {node.process.returncode for node in cluster.nodes if node.process} == {None}
    assert len(planned) == sum(topic.partitions for topic in TOPICS)
