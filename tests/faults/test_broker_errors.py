"""Errors that a healthy broker never returns: only what it acknowledged counts as published, and all is handled."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from common.errors import TransientError
from common.kafka.client import make_broker
from common.kafka.publisher import Publisher
from common.kafka.tolerant_consumer import TolerantBroker
from common.settings import KafkaSettings
from common.watchdog import Watchdog
from contract.cloudevents import decode
from contract.messages import SyncRequested
from contract.topics import Topic

from tests.faults.support.mock_cluster import Api, MockCluster, mock_cluster
from tests.support.consumer_bench import Bench
from tests.support.messages import now, sync_requested
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)
SHORT_SESSIONS = {"session_timeout_ms": 6_000, "heartbeat_interval_ms": 1_000, "rebalance_timeout_ms": 6_000}
AT = now()
MESSAGE = sync_requested(request_id="fits", requested_at=AT)
TRANSIENT = {
    "LEADER_NOT_AVAILABLE": 5,
    "NOT_LEADER_OR_FOLLOWER": 6,
    "REQUEST_TIMED_OUT": 7,
    "NOT_ENOUGH_REPLICAS": 19,
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND": 20,
    "KAFKA_STORAGE_ERROR": 56,
}
FINAL = {
    "MESSAGE_TOO_LARGE": 10,
    "TOPIC_AUTHORIZATION_FAILED": 29,
    "POLICY_VIOLATION": 44,
    "OUT_OF_ORDER_SEQUENCE_NUMBER": 45,
    "INVALID_PRODUCER_EPOCH": 47,
}
COORDINATOR = {"COORDINATOR_LOAD_IN_PROGRESS": 14, "COORDINATOR_NOT_AVAILABLE": 15, "NOT_COORDINATOR": 16}
MEMBERSHIP = {"ILLEGAL_GENERATION": 22, "UNKNOWN_MEMBER_ID": 25, "REBALANCE_IN_PROGRESS": 27, "FENCED_INSTANCE_ID": 82}
ON_THE_WAY = {
    Api.FETCH: {
        "OFFSET_OUT_OF_RANGE": 1,
        "UNKNOWN_TOPIC_OR_PARTITION": 3,
        "NOT_LEADER_OR_FOLLOWER": 6,
        "KAFKA_STORAGE_ERROR": 56,
        "FENCED_LEADER_EPOCH": 74,
    },
    Api.OFFSET_COMMIT: {"REQUEST_TIMED_OUT": 7} | COORDINATOR | MEMBERSHIP,
    Api.HEARTBEAT: COORDINATOR | MEMBERSHIP,
}
AT_THE_START = {
    Api.FIND_COORDINATOR: {"COORDINATOR_NOT_AVAILABLE": 15},
    Api.JOIN_GROUP: {"COORDINATOR_LOAD_IN_PROGRESS": 14, "NOT_COORDINATOR": 16, "UNKNOWN_MEMBER_ID": 25},
    Api.SYNC_GROUP: {"REBALANCE_IN_PROGRESS": 27, "NOT_COORDINATOR": 16},
    Api.OFFSET_FETCH: {"COORDINATOR_LOAD_IN_PROGRESS": 14, "NOT_COORDINATOR": 16},
}
QUICK = {(Api.JOIN_GROUP, 25)}


def _cases(errors: dict[Api, dict[str, int]]) -> list[object]:
    return [
        pytest.param(api, code, id=f"{api.name} {name}", marks=() if (api, code) in QUICK else pytest.mark.thorough)
        for api, of_api in errors.items()
        for name, code in of_api.items()
    ]


class RecordingWatchdog(Watchdog):
    """Does not end the process that tests run in."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: list[str] = []

    def fail(self, reason: str) -> None:
        self.reasons.append(reason)


@asynccontextmanager
async def bench_on(cluster: MockCluster) -> AsyncIterator[Bench]:
    topic = Topic(f"test.{uuid.uuid4().hex}", (SyncRequested,), 1, {})
    cluster.create(topic.name, 1)
    producer = AIOKafkaProducer(bootstrap_servers=cluster.servers)
    await producer.start()
    try:
        yield Bench(topic, cluster.servers, producer)
    finally:
        await producer.stop()


@pytest.fixture
async def cluster() -> AsyncIterator[MockCluster]:
    with mock_cluster() as cluster:
        yield cluster


@pytest.fixture
async def bench(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """The mock has no static members: a member that returns waits for the session of its former self to end."""
    real = TolerantBroker.subscriber

    def with_short_sessions(broker: TolerantBroker, *topics: str, **options: Any) -> Any:
        return real(broker, *topics, **options | SHORT_SESSIONS)

    monkeypatch.setattr(TolerantBroker, "subscriber", with_short_sessions)
    async with bench_on(cluster) as bench:
        yield bench


@asynccontextmanager
async def publishing(servers: str, watchdog: Watchdog) -> AsyncIterator[Publisher]:
    broker = make_broker(KafkaSettings(kafka_bootstrap_servers=servers), "test")
    await broker.start()
    try:
        yield Publisher(broker, "test", watchdog)
    finally:
        await broker.stop()


async def _ids(bench: Bench) -> list[str]:
    return [decode(record, bench.topic).event_id for record in await bench.records()]


@pytest.mark.parametrize("error", TRANSIENT.values(), ids=TRANSIENT)
async def test_what_the_broker_refuses_for_now_is_published_when_it_accepts_it(
    cluster: MockCluster, bench: Bench, error: int
) -> None:
    watchdog = RecordingWatchdog()
    async with publishing(bench.servers, watchdog) as publisher:
        cluster.fails(Api.PRODUCE, error, error, error)
        await publisher.publish(bench.topic, MESSAGE, key="key", event_id="1", at=AT)

    assert (await _ids(bench), watchdog.reasons) == (["1"], [])


@pytest.mark.parametrize("error", FINAL.values(), ids=FINAL)
async def test_what_the_broker_refuses_for_good_is_not_published_and_the_process_ends(
    cluster: MockCluster, bench: Bench, error: int
) -> None:
    watchdog = RecordingWatchdog()
    async with publishing(bench.servers, watchdog) as publisher:
        cluster.fails(Api.PRODUCE, error)
        with pytest.raises(TransientError, match=bench.topic.name):
            await publisher.publish(bench.topic, MESSAGE, key="key", event_id="1", at=AT)

    assert await _ids(bench) == []
    (reason,) = watchdog.reasons
    assert reason.startswith(f"producer of {bench.topic.name}: ")


@pytest.mark.parametrize(("api", "error"), _cases(ON_THE_WAY))
async def test_whatever_error_the_broker_returns_on_the_way_every_message_is_handled(
    cluster: MockCluster, bench: Bench, api: Api, error: int
) -> None:
    """By the process itself, or, where it reports that it is stuck, by the process that replaces it."""
    await bench.send("before")
    async with bench.consuming(instance_name="one") as watchdog:
        await until(lambda: "before" in bench.handled)
        cluster.fails(api, error, error)
        await bench.send("after")
        await until(lambda: "after" in bench.handled or bool(watchdog.stalled()))
        await _two_heartbeats(api)
        await bench.send("last")
        await until(lambda: "last" in bench.handled or bool(watchdog.stalled()))

    async with bench.consuming(instance_name="one"):
        await until(lambda: {"before", "after", "last"} <= set(bench.handled))


async def _two_heartbeats(api: Api) -> None:
    """They are sent every second."""
    await asyncio.sleep(2.5 if api is Api.HEARTBEAT else 0)  # nothing else shows that two of them were answered


@pytest.mark.parametrize(("api", "error"), _cases(AT_THE_START))
async def test_whatever_error_the_broker_returns_at_the_start_every_message_is_handled(
    cluster: MockCluster, bench: Bench, api: Api, error: int
) -> None:
    await bench.send("one")
    cluster.fails(api, error, error)

    async with bench.consuming(instance_name="one"):
        await until(lambda: "one" in bench.handled)
