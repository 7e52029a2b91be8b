"""Three brokers that are one cluster, each also a controller."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from grafient.local.kafka import Kafka
from grafient.local.processes import free_ports

CLUSTER_ID = "dGhyZWVicm9rZXJzaW4xMg"


class Node(Kafka):
    """One of them, by its number from 1; knows the controllers' ports of all."""

    def __init__(self, folder: Path, number: int, controllers: Sequence[int]) -> None:
        super().__init__(folder)
        self._number, self._controllers = number, controllers

    def _new_cluster_id(self) -> str:
        return CLUSTER_ID

    def _properties(self) -> str:
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in enumerate(self._controllers, 1))
        own = {
            "node.id": str(self._number),
            "controller.quorum.voters": voters,
            "listeners": (
                f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controllers[self._number - 1]}"
            ),
        }
        return "\n".join([super()._properties(), *(f"{name}={value}" for name, value in own.items())])


@asynccontextmanager
async def three_brokers(folder: Path) -> AsyncIterator[list[Node]]:
    """Started together, for one alone has no majority."""
    controllers = free_ports(3)
    nodes = [Node(folder / f"node-{number}" / "kafka", number, controllers) for number in (1, 2, 3)]
    async with AsyncExitStack() as stack:
        for node in nodes:
            stack.push_async_callback(node.stop)
        await asyncio.gather(*(node.start() for node in nodes))
        yield nodes
