"""A dead letter is the record byte for byte, with its origin; of what may hold a key only its size and hash."""

import hashlib
import uuid
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from common.kafka.client import make_broker
from common.kafka.dead_letters import DeadLetters
from common.kafka.publisher import Publisher
from common.settings import KafkaSettings
from common.watchdog import Watchdog
from contract.cloudevents import UNREADABLE_NAME, MalformedError
from contract.dead_letters import DeadLetterHeaders, Original
from contract.topics import DEAD_LETTERS, Topic

from tests.support.consumer_bench import records_of
from tests.support.messages import raw_record

SECRET = b"obviously-fake-key-in-the-clear"
MALFORMED = MalformedError("body_malformed", "not a SyncRequested")


async def _dead_letter(
    servers: str,
    value: bytes | None,
    *headers: tuple[str, bytes | None],
    key: bytes | None = b"key",
    secret: bool = False,
) -> tuple[ConsumerRecord, DeadLetterHeaders]:
    topic = Topic(f"test.{uuid.uuid4().hex}", (), 6, {}, secret=secret)
    record = raw_record(topic, value, headers, key=key, partition=4, offset=7)
    broker = make_broker(KafkaSettings(kafka_bootstrap_servers=servers), "test")
    await broker.start()
    try:
        await DeadLetters(Publisher(broker, "test", Watchdog()), "test").put(record, topic, MALFORMED, attempts=3)
    finally:
        await broker.stop()
    read = [(one, DeadLetterHeaders.read(one)) for one in await records_of(servers, DEAD_LETTERS)]
    (found,) = [(one, headers) for one, headers in read if headers and headers.topic == topic.name]
    return found


@pytest.mark.parametrize(("key", "value"), [(b"key", b"\xff{"), (None, None)], ids=["bytes", "without key and value"])
async def test_a_record_is_kept_byte_for_byte(kafka: str, key: bytes | None, value: bytes | None) -> None:
    headers = ("ce_id", b"\xfe"), ("none", None), ("x", b"1"), ("x", b"\xff")

    kept, read = await _dead_letter(kafka, value, *headers, key=key)

    assert (kept.value, kept.key) == (value or b"", key or read.id.encode())
    assert (read.partition, read.offset, read.reason, read.attempts) == (4, 7, "body_malformed", 3)
    assert read.original(kept.value) == Original(key, value, headers)


async def test_a_record_with_a_header_name_that_is_not_text_is_not_kept_and_not_sent_again(kafka: str) -> None:
    kept, read = await _dead_letter(kafka, None, (UNREADABLE_NAME, None), key=None)

    assert (kept.value, read.original(kept.value), read.reason) == (b"", None, "body_malformed")


async def test_of_a_secret_topic_only_size_and_hash_are_kept(kafka: str) -> None:
    kept, read = await _dead_letter(kafka, SECRET, ("x", SECRET), key=SECRET, secret=True)

    assert (kept.value, kept.key, read.headers, read.key) == (b"", read.id.encode(), None, None)
    assert (read.size, read.sha256) == (len(SECRET), hashlib.sha256(SECRET).hexdigest())


@pytest.mark.parametrize(
    ("value", "headers", "key"),
    [(bytes(2_000_000), [], b"key"), (b"", [], bytes(1_000_000)), (b"", [("x", bytes(1_500_000))], b"key")],
    ids=["value", "key", "headers"],
)
async def test_a_record_too_large_to_keep_leaves_its_size_and_hash(
    kafka: str, value: bytes, headers: list[Any], key: bytes
) -> None:
    kept, read = await _dead_letter(kafka, value, *headers, key=key)

    assert (kept.value, read.reason, read.size) == (b"", "body_malformed", len(value))
    assert read.sha256 == hashlib.sha256(value).hexdigest()
