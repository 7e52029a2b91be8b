"""On three brokers: topics with one replica are named, reassigned by Kafka's own tool, and then right."""

import asyncio
import json
from pathlib import Path

import pytest
from common.settings import KafkaSettings
from contract.topics import TOPICS
from grafient.local.processes import spawn, tail
from grafient.local.startup_cache import java
from grafient.topics.apply import apply_topics
from grafient.topics.differences import topic_differences
from grafient.topics.replicas import plan, reassignment, replicas

from tests.support.three_brokers import three_brokers

pytestmark = [pytest.mark.system, pytest.mark.thorough]
TOOL = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"


async def reassign(servers: str, written: Path, action: str) -> None:
    log = written.with_suffix(".log")
    arguments = ["--bootstrap-server", servers, "--reassignment-json-file", str(written), action]
    tool = await spawn([*java(), TOOL, *arguments], log)
    assert await tool.wait() == 0, tail(log)


async def states(settings: KafkaSettings) -> set[str]:
    return {one.state for one in await topic_differences(settings)}


async def test_topics_with_one_replica_get_three_and_stay_writable_on_the_way(tmp_path: Path) -> None:
    async with three_brokers(tmp_path) as cluster:
        settings = cluster.settings()
        await apply_topics(settings, 1)
        assert await states(settings) == {"other_replicas"}

        written = tmp_path / "plan.json"
        planned = plan(*await replicas(settings), 3)
        written.write_text(json.dumps(reassignment(planned)))
        await reassign(settings.kafka_bootstrap_servers, written, "--execute")
        async with asyncio.timeout(60):
            while any(len(one.in_sync) < 3 for one in (await replicas(settings))[0]):
                await asyncio.sleep(0.2)
        assert await states(settings) == {"other_config"}, "one replica in sync is still enough for a write"

        await apply_topics(settings, 3)
        assert await states(settings) == {"right"}
        assert {node.process.returncode for node in cluster.nodes if node.process} == {None}
    assert len(planned) == sum(topic.partitions for topic in TOPICS)
