"""Requests to a secured broker as each principal."""

from collections.abc import Callable
from functools import cache

from aiokafka import AIOKafkaProducer
from aiokafka.client import CoordinationType
from aiokafka.errors import for_code
from aiokafka.protocol.fetch import FetchRequest
from common.kafka.client import client_options
from confluent_kafka.admin import AdminClient
from grafient.local.system import System
from grafient.topics.acls import librdkafka_options


class Clients:
    """One client for each principal and kind: authentication takes longer than a request."""

    def __init__(self, system: System) -> None:
        self.settings = system.kafka.settings
        self.admin: Callable[[str], AdminClient] = cache(
            lambda who: AdminClient(librdkafka_options(self.settings(who)))
        )
        self._producers: dict[str, AIOKafkaProducer] = {}

    async def producer(self, who: str) -> AIOKafkaProducer:
        if who not in self._producers:
            self._producers[who] = AIOKafkaProducer(**client_options(self.settings(who)))
            await self._producers[who].start()
        return self._producers[who]

    async def write(self, who: str, topic: str) -> None:
        """A record that is no message."""
        await (await self.producer(who)).send_and_wait(topic, b"{}", key=b"of-the-test", partition=0)

    async def read(self, who: str, topic: str) -> None:
        """Fetch the first record without a request for metadata; raises the error that the broker returns."""
        client = (await self.producer(who)).client
        request = FetchRequest(1000, 1, 1_000_000, 0, [(topic, [(0, 0, 1_000_000)])])
        answer = await client.send(client.get_random_node(), request)
        ((_, ((_, error_code, *_),)),) = answer.topics
        if error_code:
            raise for_code(error_code)

    async def find(self, who: str, group: str) -> None:
        """What every member of a group does first."""
        await (await self.producer(who)).client.coordinator_lookup(CoordinationType.GROUP, group)

    async def close(self) -> None:
        for producer in self._producers.values():
            await producer.stop()
