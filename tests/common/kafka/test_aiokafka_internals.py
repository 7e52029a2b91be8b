"""A silent broker stops no client; and the code of aiokafka that this replaces is what it was written for."""

import asyncio
import hashlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaConnectionError, RequestTimedOutError
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.sender import SendProduceReqHandler
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.structs import BrokerMetadata
from common.kafka import aiokafka_internals
from common.kafka.aiokafka_internals import SteadyClient, is_writable, keep_batches
from common.kafka.availability import Server, unavailable
from common.kafka.client import client_options, make_broker
from common.settings import KafkaSettings
from contract.topics import COSTS, SYNC_OUTCOMES

from tests.support.waiting import others_have_run, until

READ_WITH = {
    AIOKafkaClient.__init__: "edf3d022",
    AIOKafkaClient.close: "02119d4d",
    AIOKafkaClient.bootstrap: "198943b0",
    AIOKafkaClient._md_synchronizer: "e0421bff",  # noqa: SLF001 - that is what the test is about
    AIOKafkaClient.get_random_node: "0e2daf38",
    AIOKafkaClient._metadata_update: "06dc51ed",  # noqa: SLF001 - the same
    AIOKafkaClient.force_metadata_update: "cb7befef",
    AIOKafkaClient._get_conn: "68ce5d83",  # noqa: SLF001 - the same
    AIOKafkaClient.send: "246b2776",
    AIOKafkaProducer.send_batch: "bf42b0f0",
    SendProduceReqHandler.create_request: "807639a9",
    MessageAccumulator.add_batch: "5ed1c5b1",
    MessageAccumulator.drain_by_nodes: "fc995afb",
    MessageAccumulator._pop_batch: "41cc98a2",  # noqa: SLF001 - the same
    ClusterMetadata.update_metadata: "6c2cce8f",
}
"""What is replaced, or relied on, by the beginning of the SHA-256 of its source."""


@pytest.mark.parametrize("code", READ_WITH, ids=lambda code: code.__qualname__)
def test_the_code_of_aiokafka_that_is_replaced_or_relied_on_has_not_changed(code: Callable[..., Any]) -> None:
    found = hashlib.sha256(inspect.getsource(code).encode()).hexdigest()
    assert found.startswith(READ_WITH[code]), f"read {code.__qualname__} again, then aiokafka_internals.py: {found[:8]}"


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Silence is noticed sooner, the first server of a list is asked first, and no other test sees what was noticed."""
    monkeypatch.setattr(aiokafka_internals, "OPEN_SECONDS", 0.6)
    monkeypatch.setattr(aiokafka_internals, "ANSWER_SECONDS", 1.5)
    monkeypatch.setattr(aiokafka_internals, "HEAD_START_SECONDS", 0.2)
    monkeypatch.setattr("aiokafka.conn.random.shuffle", lambda _: None)
    yield
    unavailable.clear()


@pytest.fixture
async def silent() -> AsyncIterator[Server]:
    """A port on which connections are accepted, and nothing is answered."""
    accepted: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: accepted.append(writer), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()
        for writer in accepted:
            writer.close()


@pytest.fixture
def answering(kafka: str) -> Server:
    host, port = kafka.split(":")
    return host, int(port)


@pytest.fixture
async def client(silent: Server, answering: Server) -> AsyncIterator[SteadyClient]:
    """Not connected; the silent one is the first of its bootstrap servers."""
    client = SteadyClient(bootstrap_servers=[f"{host}:{port}" for host, port in (silent, answering)])
    yield client
    await client.close()


def knows(client: SteadyClient, *servers: Server) -> None:
    """Make these the brokers of the cluster, numbered from 1."""
    numbered = enumerate(servers, 1)
    client.cluster._brokers = {number: BrokerMetadata(number, *server, None) for number, server in numbered}  # noqa: SLF001 - from an earlier answer


async def seconds_of(action: Any) -> float:
    before = asyncio.get_running_loop().time()
    await action
    return asyncio.get_running_loop().time() - before


async def test_a_client_starts_whichever_server_is_silent_and_the_next_one_asks_that_last(
    client: SteadyClient, silent: Server
) -> None:
    assert await seconds_of(client.bootstrap()) < 3
    assert client.cluster.brokers()
    await until(lambda: unavailable == {silent})

    other = SteadyClient(bootstrap_servers=client._bootstrap_servers)  # noqa: SLF001 - the same list
    connected = list[Server]()

    async def connect(server: Server, seconds: float, **options: Any) -> Any:
        connected.append(server)
        return await SteadyClient._connect(other, server, seconds, **options)  # noqa: SLF001 - the real one

    other._connect = connect  # type: ignore[method-assign]  # noqa: SLF001 - to see which are asked
    await other.bootstrap()
    assert silent not in connected
    await other.close()


async def test_a_client_that_nobody_answers_does_not_start(silent: Server) -> None:
    client = SteadyClient(bootstrap_servers=[f"{silent[0]}:{silent[1]}", "127.0.0.1:1"])
    with pytest.raises(KafkaConnectionError, match="no broker of"):
        await client.bootstrap()
    await client.close()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[AIOKafkaConnection]:
    """All connections that clients of the test have opened."""
    opened = list[AIOKafkaConnection]()

    async def create(*server: Any, **options: Any) -> AIOKafkaConnection:
        connection = await create_conn(*server, **options)
        opened.append(connection)
        return connection

    monkeypatch.setattr(aiokafka_internals, "create_conn", create)
    return opened


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> asyncio.Semaphore:
    """Released with each answer of a bootstrap server."""
    answers, answer_of = asyncio.Semaphore(0), SteadyClient._answer_of  # noqa: SLF001 - the real one

    async def counted(*args: Any) -> Any:
        answer = await answer_of(*args)
        answers.release()
        return answer

    monkeypatch.setattr(SteadyClient, "_answer_of", counted)
    return answers


@pytest.mark.parametrize("steps", range(8))
async def test_a_start_that_is_cancelled_just_when_a_server_has_answered_leaves_no_connection(
    steps: int, answering: Server, opened: list[AIOKafkaConnection], answers: asyncio.Semaphore
) -> None:
    client = SteadyClient(bootstrap_servers=[f"{answering[0]}:{answering[1]}"])
    starting = asyncio.create_task(client.bootstrap())
    await answers.acquire()
    await others_have_run(steps)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await client.close()
    await until(lambda: not any(one.connected() for one in opened))


async def test_where_two_servers_answer_at_once_one_is_hung_up_on(
    answering: Server, opened: list[AIOKafkaConnection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiokafka_internals, "HEAD_START_SECONDS", 0.0)
    both, answer_of = asyncio.Barrier(2), SteadyClient._answer_of  # noqa: SLF001 - the real one

    async def together(*args: Any) -> Any:
        answer = await answer_of(*args)
        await both.wait()
        return answer

    monkeypatch.setattr(SteadyClient, "_answer_of", together)
    client = SteadyClient(bootstrap_servers=[f"{host}:{answering[1]}" for host in ("127.0.0.1", "localhost")])
    await client.bootstrap()
    await until(lambda: sorted(one.connected() for one in opened) == [False, True])
    await client.close()


async def test_a_client_that_is_closed_connects_no_more(client: SteadyClient, answering: Server) -> None:
    knows(client, answering)
    await client.close()
    assert not await client.ready(1)


async def test_nobody_waits_for_a_silent_broker_but_who_found_out(
    client: SteadyClient, silent: Server, answering: Server
) -> None:
    knows(client, silent, answering)

    first = asyncio.create_task(client.ready(1))
    await asyncio.sleep(0)
    assert await client.ready(2)
    assert not first.done(), "the other broker is connected meanwhile"
    assert not await first

    assert unavailable == {silent}
    assert await seconds_of(client.ready(1)) < 0.2
    assert {client.get_random_node() for _ in range(20)} == {2}


async def test_a_broker_that_answers_again_is_connected_in_the_background(
    client: SteadyClient, answering: Server
) -> None:
    knows(client, answering)
    unavailable.add(answering)

    assert not await client.ready(1)
    await until(lambda: client.ready(1))
    assert unavailable == set()


async def test_a_request_that_is_not_answered_ends_and_its_broker_is_unavailable(
    client: SteadyClient, answering: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    knows(client, answering)
    assert await client.ready(1)
    monkeypatch.setattr(aiokafka_internals, "ANSWER_SECONDS", 0.0)

    with pytest.raises(RequestTimedOutError):
        await client.send(1, MetadataRequest([]))

    assert unavailable == {answering}


async def test_where_no_known_broker_answers_the_whole_list_is_asked_again(
    client: SteadyClient, answering: Server
) -> None:
    knows(client, ("127.0.0.1", 1))

    assert await client._metadata_update(client.cluster, {COSTS.name})  # noqa: SLF001 - what its loop calls

    assert {(one.host, one.port) for one in client.cluster.brokers()} == {answering}
    assert client.cluster.partitions_for_topic(COSTS.name)


async def test_a_partition_without_a_leader_costs_no_sequence_number() -> None:
    producer = AIOKafkaProducer(enable_idempotence=True, request_timeout_ms=1)
    keep_batches(producer)
    waiting, partition = producer._message_accumulator, TopicPartition(COSTS.name, 0)  # noqa: SLF001 - of which this is
    records = producer.create_batch()
    records.append(key=b"key", value=b"value", timestamp=None)
    future = await waiting.add_batch(records, partition, 1)

    (batch,) = waiting._batches[partition]  # noqa: SLF001 - the same
    batch._ctime -= 600  # noqa: SLF001 - it waits for ten minutes
    assert waiting.drain_by_nodes(ignore_nodes=()) == ({}, True)

    assert not future.done()
    assert producer._txn_manager.sequence_number(partition) == 0  # noqa: SLF001 - of which this is
    future.cancel()
    await producer.client.close()
    producer._closed = True  # noqa: SLF001 - it was never started


async def test_every_client_of_a_service_is_a_steady_one(kafka: str) -> None:
    settings = KafkaSettings(kafka_bootstrap_servers=kafka)
    broker = make_broker(settings, "test")
    await broker.start()
    consumer = AIOKafkaConsumer(**client_options(settings))
    clients = (broker.producer.client, broker.config.admin_client._client, consumer._client)  # noqa: SLF001 - of which this is
    assert {type(one) for one in clients} == {SteadyClient}
    await consumer.stop()
    await broker.stop()


async def test_topics_are_writable_while_all_their_partitions_have_a_leader(kafka: str) -> None:
    broker = make_broker(KafkaSettings(kafka_bootstrap_servers=kafka), "test")
    await broker.start()
    assert await is_writable(broker.producer, [COSTS.name, SYNC_OUTCOMES.name])
    assert not await is_writable(broker.producer, [COSTS.name, "xai.never.v1"])
    await broker.stop()
