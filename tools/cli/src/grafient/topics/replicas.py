"""Where the replicas of the topics are, and the reassignment that gives partitions the replicas they lack."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from common.errors import UserError
from common.kafka.client import admin_client
from common.settings import KafkaSettings
from contract.topics import TOPICS

OFFSETS_TOPIC = "__consumer_offsets"
"""The broker's own: with one replica, the loss of one broker stops consumers whatever our topics have."""

Brokers = Mapping[int, str | None]
"""By ID: the rack, or None."""


@dataclass(frozen=True, slots=True)
class PartitionReplicas:
    """One partition."""

    topic: str
    partition: int
    replicas: tuple[int, ...]
    """IDs of the brokers, the preferred leader first."""
    in_sync: tuple[int, ...]

    def row(self) -> dict[str, object]:
        """For people and programs."""
        return {
            "topic": self.topic,
            "partition": self.partition,
            "replicas": list(self.replicas),
            "in_sync": list(self.in_sync),
        }


async def replicas(settings: KafkaSettings) -> tuple[list[PartitionReplicas], Brokers]:
    """Every partition of the declared topics and of the broker's offsets, and the brokers that answer."""
    async with admin_client(settings, "grafient-topics") as admin:
        cluster = await admin.describe_cluster()
        described = await admin.describe_topics([*(topic.name for topic in TOPICS), OFFSETS_TOPIC])
    brokers = {one["node_id"]: one["rack"] or None for one in cluster["brokers"]}
    found = [
        PartitionReplicas(topic["topic"], one["partition"], tuple(one["replicas"]), tuple(one["isr"]))
        for topic in described
        if not topic["error_code"]
        for one in topic["partitions"]
    ]
    return sorted(found, key=lambda one: (one.topic, one.partition)), brokers


def plan(found: list[PartitionReplicas], brokers: Brokers, replication: int) -> list[PartitionReplicas]:
    """The partitions that have too few replicas, with what they should have: the present ones and added ones.

    Added are brokers of racks that the partition does not use, then those with the fewest replicas; the first of the
    list, which will lead, is the one that leads least. Raises UserError.
    """
    if len(brokers) < replication:
        raise UserError(
            f"{len(brokers)} brokers answer, {replication} replicas need as many",
            "start the missing ones, or give a lower --replication",
        )
    load = Counter(broker for one in found for broker in one.replicas)
    leads = Counter(one.replicas[0] for one in found if len(one.replicas) >= replication)
    planned = []
    for one in found:
        if len(one.replicas) < replication:
            chosen = sorted(_chosen(one.replicas, brokers, load, replication), key=leads.__getitem__)
            leads[chosen[0]] += 1
            planned.append(PartitionReplicas(one.topic, one.partition, tuple(chosen), one.in_sync))
    return planned


def _chosen(present: tuple[int, ...], brokers: Brokers, load: Counter[int], replication: int) -> list[int]:
    chosen = list(present)
    while len(chosen) < replication:
        racks = {brokers.get(one) for one in chosen}
        free = [one for one in brokers if one not in chosen]
        added = min(free, key=lambda one: (brokers[one] is not None and brokers[one] in racks, load[one], one))
        load[added] += 1
        chosen.append(added)
    return chosen


def reassignment(planned: list[PartitionReplicas]) -> dict[str, object]:
    """As `kafka-reassign-partitions --reassignment-json-file` takes it."""
    keys = ("topic", "partition", "replicas")
    return {"version": 1, "partitions": [{key: one.row()[key] for key in keys} for one in planned]}
