"""What is given up is kept byte for byte with its origin; of what may hold a key only its size and hash."""

import base64
import hashlib
import json
import uuid

import pytest
from aiokafka import ConsumerRecord
from common.kafka.client import make_broker
from common.kafka.dead_letters import DeadLetters
from common.kafka.publisher import Publisher
from common.settings import KafkaSettings
from common.watchdog import Watchdog
from contract.cloudevents import MalformedError
from contract.topics import DEAD_LETTERS, Topic

from tests.support.consumer_bench import records_of

SECRET = b"obviously-fake-key-in-the-clear"
REFUSED = MalformedError("body_malformed", "not a SyncRequested")


async def letter(servers: str, topic: Topic, **parts: object) -> ConsumerRecord:
    """The dead letter of a record with `parts`."""
    given = {"key": b"key", "value": b"\xff{", "headers": [("ce_id", b"\xfe"), ("none", None)]} | parts
    record = ConsumerRecord(topic.name, 4, 7, 1000, 0, given["key"], given["value"], None, 0, 0, given["headers"])
    broker = make_broker(KafkaSettings(kafka_bootstrap_servers=servers), "test")
    await broker.start()
    try:
        await DeadLetters(Publisher(broker, "test", Watchdog()), "test").put(record, topic, REFUSED, attempts=3)
    finally:
        await broker.stop()
    found = [one for one in await records_of(servers, DEAD_LETTERS) if told(one).get("dead_letter_topic") == topic.name]
    assert len(found) == 1
    return found[0]


def told(record: ConsumerRecord) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


def a_topic(*, secret: bool = False) -> Topic:
    return Topic(f"test.{uuid.uuid4().hex}", (), 6, {}, secret=secret)


async def test_a_record_is_kept_byte_for_byte_with_its_origin_and_reason(kafka: str) -> None:
    kept = await letter(kafka, a_topic())

    headers = told(kept)
    assert (kept.value, kept.key) == (b"\xff{", b"key")
    assert json.loads(headers["dead_letter_headers"]) == [["ce_id", base64.b64encode(b"\xfe").decode()], ["none", None]]
    assert base64.b64decode(headers["dead_letter_key"]) == b"key"
    assert [headers[f"dead_letter_{name}"] for name in ("partition", "offset", "reason", "attempts", "value")] == [
        "4",
        "7",
        "body_malformed",
        "3",
        "bytes",
    ]


async def test_a_record_without_key_and_value_is_kept_as_such(kafka: str) -> None:
    headers = told(await letter(kafka, a_topic(), key=None, value=None))

    assert (headers["dead_letter_key"], headers["dead_letter_value"]) == ("", "null")


async def test_of_a_secret_topic_only_size_and_hash_are_kept(kafka: str) -> None:
    kept = await letter(kafka, a_topic(secret=True), key=SECRET, value=SECRET, headers=[("x", SECRET)])

    assert (kept.value, SECRET in kept.key, SECRET.decode() in str(kept.headers)) == (b"", False, False)
    assert base64.b64encode(SECRET).decode() not in str(kept.headers)
    assert told(kept)["dead_letter_size"] == str(len(SECRET))
    assert told(kept)["dead_letter_sha256"] == hashlib.sha256(SECRET).hexdigest()


@pytest.mark.parametrize(
    "parts", [{"value": bytes(2_000_000)}, {"key": bytes(1_000_000)}, {"headers": [("x", bytes(1_500_000))]}]
)
async def test_a_record_too_large_to_keep_leaves_its_size_and_hash(kafka: str, parts: dict[str, object]) -> None:
    headers = told(await letter(kafka, a_topic(), **parts))

    assert headers["dead_letter_reason"] == "body_malformed"
    assert len(headers["dead_letter_sha256"]) == 64
