"""Grow topics of a running system as an operator does: stop the services, grow, set TOPIC_PARTITIONS, start them."""

import sys
from collections.abc import Sequence
from typing import Any

import pytest
from common.migrations import SERVICES
from contract.access import ACCESS
from contract.topics import Topic
from grafient.local.supervisor import Service
from grafient.local.system import System

from tests.support import topic_client
from tests.support.commands import in_process
from tests.support.system import SystemClient
from tests.support.waiting import until

NAMES = [name for name in SERVICES if name in ACCESS]
"""Of the services that take part in topics."""


async def grow_topics(
    client: SystemClient,
    settings: dict[str, str],
    topics: Sequence[Topic],
    partitions: int,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, dict[str, Any]]:
    """While no service runs; `settings` of the services, and the environment of this process, get the new counts.

    Returns what each command printed, by topic.
    """
    printed: dict[str, dict[str, Any]] = {}
    for topic in topics:
        printed[topic.name] = await _grow(client, topic, partitions)
        setting = str(printed[topic.name]["setting"])
        settings["TOPIC_PARTITIONS"] = setting
        monkeypatch.setenv("TOPIC_PARTITIONS", setting)
        monkeypatch.setitem(topic_client.PARTITIONS, topic.name, partitions)
    return printed


async def _grow(client: SystemClient, topic: Topic, partitions: int) -> dict[str, Any]:
    """Once the groups are empty: one with an INSTANCE_NAME ends with its session."""

    async def grown() -> dict[str, Any] | None:
        arguments = ("topics", "grow", topic.name, "--partitions", str(partitions), "--json")
        ended = await in_process(*arguments, env=client.environment)
        if ended.status:
            assert "still run" in ended.stderr, ended.stderr
            return None
        found: dict[str, Any] = ended.json()
        return found

    return await until(grown)


async def all_is_handled(client: SystemClient, topics: Sequence[Topic]) -> None:
    """Wait until no window is open, and the services have handled every record."""
    await client.no_row_is_left("SELECT 1 FROM syncer.windows WHERE closed_at IS NULL")
    for topic in topics:
        for name in NAMES:
            if topic in ACCESS[name].reads:
                await client.consumed(name, topic)


def service(system: System, name: str) -> Service:
    """As the system starts it now."""
    return Service(name, (sys.executable, "-m", name), system.environment_of(name), system.url_of(name))
