"""How failures are sorted, on the real broker: the good message behind a bad one always arrives."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from common.consuming import MAX_TRIES, Consumers
from common.deadletters import DeadLetters
from common.events import Event, headers_of
from common.failures import MalformedError, TransientError
from common.fields import Trigger
from common.kafka import Publisher, make_broker
from common.messages import Message, SyncRequested
from common.progress import Progress
from common.settings import KafkaSettings
from common.topics import Topic

AT = datetime(2026, 11, 20, tzinfo=UTC)


class RecordingDeadLetters:
    def __init__(self) -> None:
        self.put_away: list[tuple[ConsumerRecord, MalformedError, int]] = []
        self.failures = 0

    async def put(self, record: ConsumerRecord, _topic: Topic, error: MalformedError, *, attempts: int = 1) -> None:
        if self.failures:
            self.failures -= 1
            raise TransientError("the broker is away")
        self.put_away.append((record, error, attempts))


@dataclass(slots=True)
class Bench:
    """A topic of its own, a consumer on it, and what became of its records."""

    topic: Topic
    servers: str
    producer: AIOKafkaProducer
    handled: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    dead: RecordingDeadLetters = field(default_factory=RecordingDeadLetters)

    async def send(self, request_id: str, **replaced: Any) -> None:
        message = SyncRequested(request_id=request_id, trigger=Trigger.FORCE, requested_at=AT)
        headers = headers_of(message, event_id=request_id, source="/test", at=AT)
        raw = {
            "value": message.model_dump_json().encode(),
            "headers": [(name, value.encode()) for name, value in headers.items()],
        }
        await self.producer.send_and_wait(self.topic.name, key=b"key", **raw | replaced)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def consuming(self, fails: Callable[[str], BaseException | None] = lambda _: None) -> AsyncIterator[Progress]:
        """Handle each request; `fails` says with what, or None."""

        async def handle(event: Event[SyncRequested]) -> None:
            if error := fails(event.message.request_id):
                raise error
            self.handled.append(event.message.request_id)

        async with self._started(lambda consumers: consumers.on(self.topic, {SyncRequested: handle})) as progress:
            yield progress

    @asynccontextmanager
    async def consuming_batches(self, failures: int) -> AsyncIterator[Progress]:
        left = [failures]

        async def handle(records: tuple[ConsumerRecord, ...]) -> None:
            self.batches.append(len(records))
            if left[0]:
                left[0] -= 1
                raise TransientError("the database is away")
            self.handled.extend(record.value.decode() for record in records)

        async with self._started(lambda consumers: consumers.on_batch(self.topic, handle, max_records=100)) as progress:
            yield progress

    @asynccontextmanager
    async def _started(self, subscribe: Callable[[Consumers], None]) -> AsyncIterator[Progress]:
        async def pause(seconds: float) -> None:
            self.pauses.append(seconds)

        progress = Progress()
        broker = make_broker(KafkaSettings(kafka_bootstrap_servers=self.servers), "test")
        consumers = Consumers(broker, "test", self.dead, progress, pause=pause)  # type: ignore[arg-type]  # it speaks the same
        broker.add_middleware(consumers.middleware({self.topic.name: self.topic}))
        subscribe(consumers)
        await broker.start()
        yield progress
        await broker.stop()


@pytest.fixture
async def bench(kafka: str) -> AsyncIterator[Bench]:
    topic = Topic(f"test.{uuid.uuid4().hex}", (SyncRequested,), 1, {})
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic.name, 1, 1)])
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    yield Bench(topic, kafka, producer)
    await producer.stop()
    await admin.delete_topics([topic.name])
    await admin.close()


BAD: dict[str, dict[str, Any]] = {
    "header_undecodable": {"headers": [("ce_id", b"\xff")]},
    "header_missing": {"headers": []},
    "header_malformed": {
        "headers": [("ce_specversion", b"1.0"), ("ce_id", b"x" * 600), ("ce_type", b"x"), ("ce_source", b"x")]
    },
    "header_unknown": {
        "headers": [("ce_specversion", b"0.3"), ("ce_id", b"x"), ("ce_type", b"x"), ("ce_source", b"x")]
    },
    "type_unknown": {
        "headers": [("ce_specversion", b"1.0"), ("ce_id", b"x"), ("ce_type", b"Unheard"), ("ce_source", b"x")]
    },
}


@pytest.mark.parametrize("reason", BAD)
async def test_a_bad_envelope_goes_to_dead_letters_and_the_next_message_is_handled(bench: Bench, reason: str) -> None:
    await bench.send("bad", **BAD[reason])
    await bench.send("good")

    async with bench.consuming():
        await bench.until(lambda: bench.handled == ["good"])

    assert [error.reason for _, error, _ in bench.dead.put_away] == [reason]


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{", b"[]", b'{"request_id": 1}', b"[" * 10_000, None])
async def test_a_bad_body_goes_to_dead_letters_without_a_word_of_it(bench: Bench, body: bytes | None) -> None:
    await bench.send("bad", value=body)
    await bench.send("good")

    async with bench.consuming():
        await bench.until(lambda: bench.handled == ["good"])

    ((record, error, _),) = bench.dead.put_away
    assert (record.value, error.reason) == (body, "body_malformed")


async def test_what_is_away_is_waited_for_and_nothing_is_given_up(bench: Bench) -> None:
    failures = iter([TransientError("away"), ConnectionError(), TimeoutError()])
    await bench.send("one")

    async with bench.consuming(lambda _: next(failures, None)):
        await bench.until(lambda: bench.handled == ["one"])

    assert bench.dead.put_away == []
    assert bench.pauses == sorted(bench.pauses)
    assert len(bench.pauses) == 3


async def test_an_unknown_bug_is_given_up_after_a_bounded_number_of_tries(bench: Bench) -> None:
    await bench.send("poison")
    await bench.send("good")

    async with bench.consuming(lambda request_id: ValueError("a bug") if request_id == "poison" else None):
        await bench.until(lambda: bench.handled == ["good"])

    ((_, error, attempts),) = bench.dead.put_away
    assert (error.reason, error.detail, attempts) == ("handler_failed", "ValueError", MAX_TRIES)
    assert len(bench.pauses) == MAX_TRIES - 1


async def test_a_cancellation_that_leaks_out_of_a_handler_does_not_end_the_consumer(bench: Bench) -> None:
    failures = iter([asyncio.CancelledError()])
    await bench.send("one")

    async with bench.consuming(lambda _: next(failures, None)) as progress:
        await bench.until(lambda: bench.handled == ["one"])
        assert progress.stalled() == []


async def test_a_dead_letter_that_cannot_be_published_keeps_the_record(bench: Bench) -> None:
    bench.dead.failures = 3
    await bench.send("bad", value=b"{")
    await bench.send("good")

    async with bench.consuming():
        await bench.until(lambda: bench.handled == ["good"])

    assert len(bench.dead.put_away) == 1


async def test_a_batch_whose_database_is_away_comes_again_whole(bench: Bench) -> None:
    for number in range(5):
        await bench.send("one", value=str(number).encode())

    async with bench.consuming_batches(failures=2):
        await bench.until(lambda: len(bench.handled) == 5)

    assert sorted(bench.handled) == ["0", "1", "2", "3", "4"]


async def test_what_was_committed_is_not_delivered_again(bench: Bench) -> None:
    await bench.send("one")
    async with bench.consuming():
        await bench.until(lambda: bench.handled == ["one"])
    await bench.send("two")

    async with bench.consuming():
        await bench.until(lambda: "two" in bench.handled)

    assert bench.handled == ["one", "two"]


async def test_a_record_that_the_broker_would_refuse_is_refused_before_and_breaks_nothing(kafka: str) -> None:
    broker = make_broker(KafkaSettings(kafka_bootstrap_servers=kafka), "test")
    publisher = Publisher(broker, "test", Progress())
    topic = Topic("xai.dead-letters.v1", (SyncRequested,), 3, {})
    message: Message = SyncRequested(request_id="fits", trigger=Trigger.FORCE, requested_at=AT)
    await broker.start()
    try:
        with pytest.raises(ValueError, match="needs a key"):
            await publisher.send(topic, b"body", key=b"", headers={})
        with pytest.raises(ValueError, match="at most 900000 bytes"):
            await publisher.send(topic, bytes(900_000), key=b"key", headers={})
        await publisher.publish(topic, message, key=f"key-{uuid.uuid4()}", event_id="1", at=AT)
    finally:
        await broker.stop()


async def test_a_dead_letter_of_a_secret_topic_holds_nothing_to_read() -> None:
    sent: list[tuple[bytes | None, dict[str, str]]] = []

    class Sent:
        async def send(self, _topic: Topic, body: bytes | None, *, key: bytes, headers: dict[str, str]) -> None:
            sent.append((body, headers | {"key": key.decode()}))

    secret = b"obviously-fake-key-in-the-clear"
    record = ConsumerRecord("secrets", 0, 7, 0, 0, secret, secret, None, 0, 0, [("x", secret)])
    topic = Topic("secrets", (), 1, {}, secret=True)

    await DeadLetters(Sent(), "test").put(record, topic, MalformedError("body_malformed", "no"))  # type: ignore[arg-type]  # it speaks the same

    ((body, headers),) = sent
    assert body == b""
    assert secret.decode() not in str(headers)
    assert headers["dead_letter_size"] == str(len(secret))
