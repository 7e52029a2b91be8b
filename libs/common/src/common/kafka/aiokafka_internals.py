"""What reaches into aiokafka's clients and producers: a client that a silent broker does not stop.

A broker is silent when it is frozen, or gone without closing its connections. aiokafka would wait 40 s for each of its
answers, open all connections one after the other, and ask brokers in random order. The test of this file fails when the
code that is replaced here changes.
"""

import asyncio
import math
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer
from aiokafka.admin import client as admin_module
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import AIOKafkaConnection, CloseReason, create_conn
from aiokafka.consumer import consumer as consumer_module
from aiokafka.errors import KafkaConnectionError, KafkaError, RequestTimedOutError
from aiokafka.producer import producer as producer_module
from aiokafka.protocol.api import Request, Response
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest
from aiokafka.protocol.metadata import MetadataRequest

from common.kafka.availability import Server, note, unavailable

Answer = tuple[AIOKafkaConnection, Response]
NodeId = int | str
"""A broker's number, or "bootstrap"."""

OPEN_SECONDS = 3.0
"""To open a connection, with TLS and authentication, and for an answer about the cluster."""
ANSWER_SECONDS = 10.0
"""For any other answer, except that of a group, which waits for its members; at a start also for the first ones."""
HEAD_START_SECONDS = 0.5
"""Of a bootstrap server before the next one is asked too."""
CONNECTION_OPTIONS = (
    *("client_id", "request_timeout_ms", "ssl_context", "security_protocol"),
    *("sasl_mechanism", "sasl_plain_username", "sasl_plain_password"),
)
WAITS_FOR_MEMBERS = (JoinGroupRequest, SyncGroupRequest)
BOOTSTRAP = ("bootstrap", ConnectionGroup.DEFAULT)
"""The connection to a bootstrap server, kept until a broker of the cluster has answered."""


class SteadyClient(AIOKafkaClient):  # type: ignore[misc]  # aiokafka is untyped
    """Waits OPEN_SECONDS for a connection, and ANSWER_SECONDS for an answer.

    An unavailable broker is asked last; it is connected again in the background, and nobody waits for that. Where no
    known broker answers, the whole bootstrap list is asked again.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self._opening: dict[tuple[NodeId, int], asyncio.Task[AIOKafkaConnection | None]] = {}
        self._next_update_at = 0.0
        self._closed = False

    async def close(self) -> None:
        self._closed = True
        for task in (openings := list(self._opening.values())):
            task.cancel()
        await asyncio.gather(*openings, return_exceptions=True)
        await super().close()

    async def bootstrap(self) -> None:
        """Raises KafkaConnectionError where no bootstrap server answers."""
        answer = await self._first_answer(MetadataRequest([]), ANSWER_SECONDS)
        if answer is None:
            raise KafkaConnectionError(f"no broker of {self._bootstrap_servers} answers")
        connection, metadata = answer
        self.cluster.update_metadata(metadata)
        self._conns[BOOTSTRAP] = connection  # a new cluster may name no broker yet
        if self._sync_task is None:  # type: ignore[has-type]  # aiokafka is untyped
            self._sync_task = asyncio.create_task(self._md_synchronizer())

    def get_random_node(self) -> NodeId | None:
        """Prefers those that are available."""
        chosen: NodeId | None = super().get_random_node()
        available = [one.nodeId for one in self.cluster.brokers() if (one.host, one.port) not in unavailable]
        return chosen if chosen in available or not available else available[0]

    async def send(self, node_id: NodeId, request: Request, *, group: int = ConnectionGroup.DEFAULT) -> Response:
        """Raises RequestTimedOutError after ANSWER_SECONDS, and what aiokafka's own raises."""
        if isinstance(request, WAITS_FOR_MEMBERS):
            return await super().send(node_id, request, group=group)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await super().send(node_id, request, group=group)
        except (TimeoutError, RequestTimedOutError):
            if connection := self._conns.get((node_id, group)):
                connection.close(reason=CloseReason.CONNECTION_TIMEOUT)
            note(self._server_of(node_id), answers=False)
            raise RequestTimedOutError from None
        note(self._server_of(node_id), answers=True)
        return answer

    async def _get_conn(self, node_id: NodeId, *, group: int = ConnectionGroup.DEFAULT) -> AIOKafkaConnection | None:
        """None where there is none now. A connection is opened without waiting for those to other brokers."""
        server, connection = self._server_of(node_id), self._conns.get((node_id, group))
        if connection is not None and connection.connected() and server not in unavailable:
            return connection
        connection = None
        if server is not None and not self._closed:
            opening = self._opening.get((node_id, group))
            if opening is None:
                opening = self._opening[node_id, group] = asyncio.create_task(self._open(node_id, group, server))
            if server not in unavailable:
                connection = await asyncio.shield(opening)
        if connection is None:  # its partitions may have another leader by now
            self.force_metadata_update()
        return connection

    async def _open(self, node_id: NodeId, group: int, server: Server) -> AIOKafkaConnection | None:
        try:
            connection = await self._connect(server, OPEN_SECONDS, on_close=self._on_connection_closed)
        except (OSError, KafkaError, TimeoutError):
            return None
        finally:
            del self._opening[node_id, group]
        if former := self._conns.get((node_id, group)):
            former.close()
        self._conns[node_id, group] = connection
        return connection

    async def _connect(self, server: Server, seconds: float, **options: object) -> AIOKafkaConnection:
        """Raises OSError, KafkaError, and TimeoutError after so long."""
        try:
            async with asyncio.timeout(seconds):
                own = {name: getattr(self, f"_{name}") for name in CONNECTION_OPTIONS}
                connection = await create_conn(*server, max_idle_ms=self._connections_max_idle_ms, **own, **options)
        except (OSError, KafkaError, TimeoutError) as error:
            note(server, answers=False, error=type(error).__name__)
            raise
        note(server, answers=True)
        return connection

    async def _metadata_update(self, cluster_metadata: ClusterMetadata, topics: Iterable[str] | None) -> bool:
        """Ask the known brokers, available ones first, then the bootstrap servers; whether one answered."""
        # a pause, for the producer asks without one while a partition has no leader
        await asyncio.sleep(max(0.0, self._next_update_at - self._loop.time()))
        self._next_update_at = self._loop.time() + self._retry_backoff
        request = MetadataRequest(list(topics) if topics else None)
        metadata = await self._ask_known(request)
        if metadata is None and (answer := await self._first_answer(request, OPEN_SECONDS)):
            connection, metadata = answer
            connection.close()
        if metadata is None:
            cluster_metadata.failed_update(None)
        if metadata is None or not metadata.brokers:
            return False
        cluster_metadata.update_metadata(metadata)
        if bootstrap := self._conns.pop(BOOTSTRAP, None):
            bootstrap.close()
        return True

    async def _ask_known(self, request: Request) -> Response | None:
        nodes = sorted(self.cluster.brokers(), key=lambda one: (one.host, one.port) in unavailable)
        for node_id in (*(one.nodeId for one in nodes), "bootstrap"):
            connection = await self._get_conn(node_id) if node_id != "bootstrap" else self._conns.get(BOOTSTRAP)
            if connection is not None:
                try:
                    async with asyncio.timeout(OPEN_SECONDS):
                        return await connection.send(request)
                except (KafkaError, TimeoutError) as error:
                    note(self._server_of(node_id), answers=False, error=type(error).__name__)
        return None

    async def _first_answer(self, request: Request, seconds: float) -> Answer | None:
        """Of the bootstrap servers, each given so long once the one before had its head start; None: of none."""
        servers = sorted(((host, port) for host, port, _ in self.hosts), key=unavailable.__contains__)
        delays = (number * HEAD_START_SECONDS for number in range(len(servers)))
        opened, found = list[AIOKafkaConnection](), None
        tasks = (self._answer_of(*one, request, seconds, opened) for one in zip(servers, delays, strict=True))
        asked = [asyncio.create_task(one) for one in tasks]
        try:
            for answer in asyncio.as_completed(asked):
                if found := await answer:
                    return found
            return None
        finally:
            for task in asked:
                task.cancel()
            for connection in opened:
                if found is None or connection is not found[0]:
                    connection.close()

    async def _answer_of(
        self, server: Server, delay: float, request: Request, seconds: float, opened: list[AIOKafkaConnection]
    ) -> Answer | None:
        await asyncio.sleep(delay)
        begun = self._loop.time()
        try:
            opened.append(connection := await self._connect(server, seconds))
            async with asyncio.timeout(seconds):
                return connection, await connection.send(request)
        except asyncio.CancelledError:
            if self._loop.time() - begun > HEAD_START_SECONDS:  # and another one was faster
                note(server, answers=False)
            raise
        except (OSError, KafkaError, TimeoutError) as error:
            note(server, answers=False, error=type(error).__name__)
        return None

    def _server_of(self, node_id: NodeId) -> Server | None:
        broker = self.cluster.broker_metadata(node_id)
        return (broker.host, broker.port) if broker else None


def use_steady_clients() -> None:
    """Producers, consumers and admin clients that are made from now on connect with a SteadyClient."""
    for module in (producer_module, consumer_module, admin_module):
        module.AIOKafkaClient = SteadyClient


def keep_batches(producer: AIOKafkaProducer) -> None:
    """Let a batch wait without an end for a leader or the batch before: whoever publishes has a deadline of its own.

    aiokafka would drop the batch after its request timeout, but keep the sequence numbers of its records: the broker
    rejects every later batch of that partition, and the producer ends. A leader waits less for its replicas than the
    producer for the leader, which would be taken for unavailable.
    """
    accumulator, sender = producer._message_accumulator, producer._sender  # noqa: SLF001 - no public way
    accumulator._batch_ttl, producer._request_timeout_ms = math.inf, math.inf  # noqa: SLF001 - no public way
    sender._request_timeout_ms = 8_000  # noqa: SLF001 - no public way


async def is_writable(producer: AIOKafkaProducer, topics: list[str]) -> bool:
    """Whether each partition of `topics` has a leader that answers, and most of its replicas are in sync, as of now."""
    client, fresh = producer.client, ClusterMetadata()
    if not await client._metadata_update(fresh, topics):  # noqa: SLF001 - no public way
        return False
    partitions = [one for found in fresh._partitions.values() for one in found.values()]  # noqa: SLF001 - the same
    in_sync = all(len(one.isr) > len(one.replicas) // 2 for one in partitions)
    leaders = {one.leader for one in partitions}
    return in_sync and fresh.topics() >= set(topics) and all([await client.ready(leader) for leader in leaders])
