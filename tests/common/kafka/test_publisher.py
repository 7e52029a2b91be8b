"""The way to the broker: what would break the producer is refused, and a topic that is not as declared is named."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from common.errors import TransientError
from common.kafka.availability import STUCK_SECONDS, Acknowledgements
from common.kafka.client import (
    MAX_BATCH_BYTES,
    TopicsError,
    bootstrap_servers,
    check_topics,
    client_options,
    make_broker,
)
from common.kafka.publisher import Publisher, fits_one_batch
from common.settings import KafkaSettings
from common.watchdog import Watchdog
from contract.cloudevents import decode, headers_of
from contract.topics import SYNC_OUTCOMES, TOPICS
from contract.tracing import tracing
from pydantic import SecretStr

from tests.support.consumer_bench import Bench
from tests.support.messages import now, sync_requested

AT = now()
MESSAGE = sync_requested(request_id="fits", requested_at=AT)


@asynccontextmanager
async def publishing(servers: str) -> AsyncIterator[Publisher]:
    broker = make_broker(KafkaSettings(kafka_bootstrap_servers=servers), "test")
    await broker.start()
    try:
        yield Publisher(broker, "test", Watchdog())
    finally:
        await broker.stop()


async def test_what_is_published_can_be_read_with_the_same_id(bench: Bench) -> None:
    async with publishing(bench.servers) as publisher:
        await publisher.publish(bench.topic, MESSAGE, key="key", event_id="event-1", at=AT)

    (record,) = await bench.records()
    event = decode(record, bench.topic)
    assert (event.message, event.event_id, record.key) == (MESSAGE, "event-1", b"key")
    assert dict(record.headers).keys() == headers_of(MESSAGE, event_id="event-1", source="/test", at=AT).keys()


async def test_a_second_copy_has_equal_bytes(bench: Bench) -> None:
    async with publishing(bench.servers) as publisher:
        for _ in range(2):
            await publisher.publish(bench.topic, MESSAGE, key="key", event_id="event-1", at=AT)

    one, other = await bench.records()
    assert (one.value, one.headers) == (other.value, other.headers)


async def test_a_tombstone_has_no_value(bench: Bench) -> None:
    async with publishing(bench.servers) as publisher:
        await publisher.send(bench.topic, None, key=b"key", headers={"credential_version": "3"})

    (record,) = await bench.records()
    assert record.value is None
    assert ("credential_version", b"3") in record.headers


async def test_a_record_that_the_broker_would_refuse_is_refused_before_and_breaks_nothing(bench: Bench) -> None:
    async with publishing(bench.servers) as publisher:
        with pytest.raises(ValueError, match="needs a key"):
            await publisher.send(bench.topic, b"body", key=b"", headers={})
        with pytest.raises(ValueError, match="at most 900000 bytes"):
            await publisher.send(bench.topic, bytes(900_000), key=b"key", headers={})
        with pytest.raises(ValueError, match="does not carry SyncRequested"):
            await publisher.publish(SYNC_OUTCOMES, MESSAGE, key="key", event_id="1", at=AT)
        await publisher.publish(bench.topic, MESSAGE, key="key", event_id="1", at=AT)

    assert len(await bench.records()) == 1


async def test_records_that_are_published_together_keep_their_order_and_what_is_known_of_their_bytes(
    bench: Bench,
) -> None:
    body = MESSAGE.model_dump_json().encode() + b" "
    async with publishing(bench.servers) as publisher:
        with tracing("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"):
            first = publisher.outgoing(bench.topic, MESSAGE, key="key", event_id="0", at=AT, body=body)
        rest = [
            publisher.outgoing(bench.topic, MESSAGE, key="key", event_id=str(number), at=AT) for number in range(1, 100)
        ]
        await publisher.publish_all([first, *rest])

    records = await bench.records()
    assert [decode(record, bench.topic).event_id for record in records] == [str(number) for number in range(100)]
    assert [decode(record, bench.topic).traceparent is None for record in records] == [False] + [True] * 99
    assert (records[0].value, records[1].value) == (body, body.strip())


async def test_of_records_that_are_published_together_none_is_where_the_broker_would_refuse_one(bench: Bench) -> None:
    async with publishing(bench.servers) as publisher:
        fits = publisher.outgoing(bench.topic, MESSAGE, key="key", event_id="1", at=AT)
        with pytest.raises(ValueError, match="at most 900000 bytes"):
            await publisher.publish_all([fits, replace(fits, body=bytes(900_000))])
        assert await bench.records() == []
        await publisher.publish_all([fits])

    assert len(await bench.records()) == 1


async def test_records_of_one_key_that_fit_a_batch_are_sent_as_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, send_batch = list[int](), AIOKafkaProducer.send_batch

    async def counted(self: AIOKafkaProducer, batch: Any, topic: str, *, partition: int) -> object:
        sent.append(batch.record_count())
        return await send_batch(self, batch, topic, partition=partition)

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", counted)
    async with publishing(bench.servers) as publisher:
        one = publisher.outgoing(bench.topic, MESSAGE, key="key", event_id="0", at=AT)
        for size, fits in ((MAX_BATCH_BYTES - 2_000, True), (MAX_BATCH_BYTES, False)):
            records = [one, replace(one, body=bytes(size)), one]
            assert fits_one_batch(records) is fits
            await publisher.publish_all(records)

    assert sent == [3, 1, 1, 1]
    assert [len(record.value or b"") for record in await bench.records()][1::3] == [
        MAX_BATCH_BYTES - 2_000,
        MAX_BATCH_BYTES,
    ]


async def test_a_publish_that_took_too_long_is_unknown_and_breaks_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with publishing(bench.servers) as publisher:
        await publisher.publish(bench.topic, MESSAGE, key="key", event_id="0", at=AT)
        with monkeypatch.context() as hurried:
            hurried.setattr("common.kafka.publisher.PUBLISH_DEADLINE", 0.0)
            with pytest.raises(TransientError):
                await publisher.publish(bench.topic, MESSAGE, key="key", event_id="1", at=AT)
        cancelled = asyncio.create_task(publisher.publish(bench.topic, MESSAGE, key="key", event_id="2", at=AT))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        for number in range(3, 6):
            await publisher.publish(bench.topic, MESSAGE, key="key", event_id=str(number), at=AT)

    ids = {decode(record, bench.topic).event_id for record in await bench.records()}
    assert ids >= {"0", "3", "4", "5"}


async def test_while_no_record_is_acknowledged_publishing_is_refused_at_once_until_the_cluster_would_take_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = Acknowledgements()
    monkeypatch.setattr("common.kafka.publisher.Acknowledgements", lambda: stuck)
    async with publishing(bench.servers) as publisher:
        stuck.failed(time.monotonic() - STUCK_SECONDS)
        stuck.begin()  # the one attempt of these two seconds
        with pytest.raises(TransientError, match="no record was acknowledged"):
            await publisher.publish(bench.topic, MESSAGE, key="key", event_id="0", at=AT)

        await publisher.check()
        await publisher.publish(bench.topic, MESSAGE, key="key", event_id="1", at=AT)

    assert len(await bench.records()) == 1


async def test_publishing_does_not_work_while_the_cluster_would_take_no_record(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = list[bool]()

    async def look(*_: object) -> bool:
        looks.append(False)
        return False

    monkeypatch.setattr("common.kafka.publisher.is_writable", look)
    stuck = Acknowledgements()
    monkeypatch.setattr("common.kafka.publisher.Acknowledgements", lambda: stuck)
    async with publishing(bench.servers) as publisher:
        await publisher.check()
        stuck.failed(time.monotonic() - STUCK_SECONDS)
        for _ in range(2):
            with pytest.raises(TransientError, match="no record was acknowledged for 15 s"):
                await publisher.check()

    assert looks == [False], "once in two seconds"


async def test_the_topics_as_declared_are_accepted(kafka: str) -> None:
    await check_topics(KafkaSettings(kafka_bootstrap_servers=kafka), TOPICS)


async def test_a_topic_that_is_missing_or_has_other_partitions_is_named(bench: Bench) -> None:
    missing = replace(bench.topic, name=f"test.{uuid.uuid4().hex}")
    other = replace(bench.topic, partitions=6)

    with pytest.raises(TopicsError) as refused:
        await check_topics(KafkaSettings(kafka_bootstrap_servers=bench.servers), (missing, other))
    assert f"topic {missing.name} is missing" in str(refused.value)
    assert f"topic {other.name} has 1 partitions instead of 6" in str(refused.value)
    assert f"`grafient topics grow {other.name} --partitions 6`" in str(refused.value)


async def test_partitions_that_are_added_in_place_do_not_split_the_order_of_a_key(bench: Bench) -> None:
    await bench.add_partitions(6)
    async with publishing(bench.servers) as publisher:
        for number in range(20):
            await publisher.publish(bench.topic, MESSAGE, key=f"key-{number}", event_id=str(number), at=AT)

    assert len(await bench.records()) == 20, "all on the one partition that is declared"


async def test_a_partition_that_the_broker_does_not_have_is_waited_for(bench: Bench) -> None:
    async with publishing(bench.servers) as publisher:
        with pytest.raises(TransientError, match="has no partition 3"):
            await publisher.send(bench.topic, b"{}", key=b"key", headers={}, partition=3)


def test_servers_are_a_list() -> None:
    assert bootstrap_servers(KafkaSettings(kafka_bootstrap_servers="a:1, b:2,")) == ["a:1", "b:2"]


def test_a_password_is_given_to_the_broker_only_where_it_asks_for_one() -> None:
    settings = KafkaSettings(
        kafka_bootstrap_servers="a:1",
        kafka_security_protocol="SASL_SSL",
        kafka_username="connector",
        kafka_password=SecretStr("obviously-fake"),
    )
    options = client_options(settings)
    assert (options["sasl_mechanism"], options["sasl_plain_password"]) == ("SCRAM-SHA-512", "obviously-fake")
    assert options["ssl_context"] is not None
    assert "sasl_mechanism" not in client_options(KafkaSettings(kafka_bootstrap_servers="a:1"))
