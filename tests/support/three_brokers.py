"""Three brokers that are one cluster, each also a controller: a majority outlives one of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

from common.kafka.client import admin_client
from grafient.local.kafka import Kafka
from grafient.local.processes import free_ports, spawn, tail
from grafient.local.startup_cache import java
from grafient.topics.replicas import PartitionReplicas, reassignment, replicas

from tests.support.waiting import until

REASSIGN = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
CLUSTER_ID = "dGhyZWVicm9rZXJzaW4xMg"
SAFE = {
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
}
"""The broker's own topics outlive one broker too, as in production."""


class Node(Kafka):
    """One of them, by its number from 1; knows the controllers' ports of all."""

    def __init__(self, folder: Path, number: int, controllers: Sequence[int]) -> None:
        super().__init__(folder)
        self.number, self._controllers = number, controllers

    def _new_cluster_id(self) -> str:
        return CLUSTER_ID

    def _properties(self) -> str:
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in enumerate(self._controllers, 1))
        own = SAFE | {
            "node.id": str(self.number),
            "controller.quorum.voters": voters,
            "listeners": (
                f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controllers[self.number - 1]}"
            ),
        }
        return "\n".join([super()._properties(), *(f"{name}={value}" for name, value in own.items())])

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Frozen: it keeps its connections, accepts further ones (the kernel does), and answers nothing."""
        assert self.process is not None, "start it first"
        self.process.send_signal(SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(SIGCONT)

    async def kill(self) -> None:
        """End it without a farewell; `start` brings it back with its data."""
        assert self.process is not None, "start it first"
        self.process.send_signal(SIGKILL)
        await self.process.wait()


class Cluster(Kafka):
    """The nodes as one broker, also for `running_system(kafka=…)`, which starts none again that a test kills."""

    replication = 3

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._plan = folder / "reassignment.json"
        controllers = free_ports(3)
        self.nodes = [Node(folder / f"node-{number}" / "kafka", number, controllers) for number in (1, 2, 3)]

    async def start(self) -> None:
        """All together, for one alone has no majority."""
        await asyncio.gather(*(node.start() for node in self.nodes))

    async def stop(self) -> None:
        await asyncio.gather(*(node.stop() for node in self.nodes))

    @property
    def bootstrap_servers(self) -> str:
        return self.servers()

    def servers(self, first: Node | None = None) -> str:
        """All three, comma-separated; clients try `first` first."""
        ordered = sorted(self.nodes, key=lambda node: node is not first)
        return ",".join(node.bootstrap_servers for node in ordered)

    def node(self, number: int) -> Node:
        """The one with this ID."""
        return self.nodes[number - 1]

    async def controller(self) -> Node:
        """The one that decides who leads now."""
        async with admin_client(self.settings(), "tests") as admin:
            return self.node((await admin.describe_cluster())["controller_id"])

    async def leader(self, topic: str, partition: int) -> Node:
        async with admin_client(self.settings(), "tests") as admin:
            (found,) = await admin.describe_topics([topic])
        return self.node(next(one["leader"] for one in found["partitions"] if one["partition"] == partition))

    async def coordinator(self, group: str) -> Node:
        """The one that keeps the membership and offsets of a group."""
        async with admin_client(self.settings(), "tests") as admin:
            return self.node(await admin.find_coordinator(group))

    async def reassign(self, planned: Sequence[PartitionReplicas]) -> None:
        """By Kafka's own tool, as an operator runs it; returns once it has begun."""
        self._plan.parent.mkdir(parents=True, exist_ok=True)
        self._plan.write_text(json.dumps(reassignment(list(planned))))
        log = self._plan.with_suffix(".log")
        arguments = ["--bootstrap-server", self.bootstrap_servers, "--reassignment-json-file", str(self._plan)]
        tool = await spawn([*java(), REASSIGN, *arguments, "--execute"], log)
        assert await tool.wait() == 0, tail(log)

    async def in_sync(self) -> None:
        """Wait until every partition has all its replicas in sync."""

        async def lagging() -> list[str]:
            found, _ = await replicas(self.settings())
            return [f"{one.topic}-{one.partition}" for one in found if len(one.in_sync) < len(one.replicas)]

        await until(lagging, lambda names: not names)


@asynccontextmanager
async def three_brokers(folder: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(folder)
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()
