"""How failures are sorted, on the real broker: the good message behind a bad one always arrives."""

import asyncio
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from common.errors import TransientError
from common.kafka import tolerant_consumer
from common.kafka.consumer import Consumers
from common.kafka.failure_policy import MAX_TRIES, STOPPED_PAUSES, OnGiveUp
from contract.cloudevents import Event, MalformedError
from contract.messages import SyncRequested
from contract.topics import SYNC_REQUESTS
from structlog.testing import capture_logs

from tests.support.consumer_bench import Bench, bench_on
from tests.support.messages import FOREIGN, structured, sync_requested, wire
from tests.support.poison import unreadable
from tests.support.waiting import others_have_run, until


async def test_what_nobody_can_read_is_dead_lettered_as_it_is_and_the_next_message_is_handled(bench: Bench) -> None:
    bad = [one for one in unreadable(SYNC_REQUESTS) if one.is_small]
    for one in bad:
        await bench.send("bad", value=one.value, headers=list(one.headers))
        await bench.send(one.kind)

    async with bench.consuming():
        await until(lambda: len(bench.handled) == len(bad))

    assert bench.handled == [one.kind for one in bad]
    found = [(entry.record.value, entry.error.reason) for entry in bench.dead_letters.entries]
    assert found == [(one.value, one.reason) for one in bad]


async def test_what_is_unavailable_is_waited_for_and_nothing_is_dead_lettered(bench: Bench) -> None:
    failures = iter([TransientError("away"), ConnectionError(), TimeoutError()])
    await bench.send("one")

    async with bench.consuming(lambda _: next(failures, None)):
        await until(lambda: bench.handled == ["one"])

    assert bench.dead_letters.entries == []
    assert bench.pauses == sorted(bench.pauses)
    assert len(bench.pauses) == 3


async def test_an_unknown_bug_is_dead_lettered_after_a_bounded_number_of_tries(bench: Bench) -> None:
    await bench.send("poison")
    await bench.send("good")

    async with bench.consuming(lambda request_id: ValueError("a bug") if request_id == "poison" else None):
        await until(lambda: bench.handled == ["good"])

    (entry,) = bench.dead_letters.entries
    error, attempts = entry.error, entry.attempts
    assert (error.reason, error.detail, attempts) == ("handler_failed", "ValueError", MAX_TRIES)
    assert len(bench.pauses) == MAX_TRIES - 1


async def test_a_message_that_fails_at_every_try_is_logged_in_full_once(bench: Bench) -> None:
    """The log of one poison stays short, and it is dead-lettered within 5 s."""
    await bench.send("poison")
    await bench.send("good")

    with capture_logs() as logs:
        async with bench.consuming(lambda request_id: ValueError("a bug") if request_id == "poison" else None):
            await until(lambda: bench.handled == ["good"])

    failed = [one for one in logs if one["event"] == "message.failed"]
    assert [bool(one["exc_info"]) for one in failed] == [True] + [False] * (MAX_TRIES - 1)
    assert {one["error"] for one in failed} == {"ValueError"}
    assert sum(bench.pauses) <= 2.5


async def test_a_cancellation_that_leaks_out_of_a_handler_does_not_end_the_consumer(bench: Bench) -> None:
    failures = iter([asyncio.CancelledError()])
    await bench.send("one")

    async with bench.consuming(lambda _: next(failures, None)) as watchdog:
        await until(lambda: bench.handled == ["one"])
        assert watchdog.stalled() == []


async def test_a_dead_letter_that_cannot_be_published_keeps_the_record(bench: Bench) -> None:
    bench.dead_letters.failures = 3
    await bench.send("bad", value=b"{")
    await bench.send("good")

    async with bench.consuming():
        await until(lambda: bench.handled == ["good"])

    assert len(bench.dead_letters.entries) == 1


async def test_what_was_committed_is_not_delivered_again(bench: Bench) -> None:
    await bench.send("one")
    async with bench.consuming():
        await until(lambda: bench.handled == ["one"])
    await bench.send("two")

    async with bench.consuming():
        await until(lambda: "two" in bench.handled)

    assert bench.handled == ["one", "two"]


async def test_a_long_wait_does_not_use_up_the_tries_of_a_message(bench: Bench) -> None:
    failures = iter([TransientError("away")] * 10 + [ValueError("a bug")])
    await bench.send("one")

    async with bench.consuming(lambda _: next(failures, None)):
        await until(lambda: bench.handled == ["one"])

    assert bench.dead_letters.entries == []


async def test_the_sender_is_notified_before_a_record_is_dead_lettered(bench: Bench) -> None:
    notified: list[tuple[bytes | None, str, int]] = []
    failures = iter([TransientError("away"), TimeoutError()])

    async def notify(record: ConsumerRecord, error: MalformedError) -> bool:
        if failure := next(failures, None):
            raise failure
        notified.append((record.value, error.reason, len(bench.dead_letters.entries)))
        return error.reason == "body_malformed"

    await bench.send("bad", value=b"{")
    await bench.send("bug")
    await bench.send("good")

    async with bench.started(_notifying(bench, notify)):
        await until(lambda: bench.handled == ["good"])

    assert notified[0] == (b"{", "body_malformed", 0)
    assert [(reason, before) for _, reason, before in notified] == [("body_malformed", 0), ("handler_failed", 1)]
    assert [one.answered for one in bench.dead_letters.entries] == [True, False]


async def test_an_answer_that_fails_for_an_unknown_reason_does_not_stop_the_flow(bench: Bench) -> None:
    async def notify(_record: ConsumerRecord, _error: MalformedError) -> bool:
        raise ValueError

    await bench.send("bad", value=b"{")
    await bench.send("good")

    async with bench.started(_notifying(bench, notify)):
        await until(lambda: bench.handled == ["good"])

    assert [(one.error.reason, one.answered) for one in bench.dead_letters.entries] == [("body_malformed", False)]


def _notifying(bench: Bench, notify: OnGiveUp) -> Callable[[Consumers], None]:
    async def handle(event: Event[SyncRequested]) -> None:
        if event.message.request_id == "bug":
            raise ValueError
        bench.handled.append(event.message.request_id)

    return lambda consumers: consumers.on(bench.topic, {SyncRequested: handle}, notify)


async def test_headers_of_others_may_hold_anything_and_are_kept_in_a_dead_letter(bench: Bench) -> None:
    value, headers = structured(sync_requested(request_id="structured"))
    await bench.send("structured", value=value, headers=[*FOREIGN, *headers])
    await bench.send("binary", headers=[*wire(sync_requested())[1], *FOREIGN])
    await bench.send("bad", value=b"{", headers=[*wire(sync_requested())[1], *FOREIGN])

    async with bench.consuming():
        await until(lambda: bench.dead_letters.entries)

    assert bench.handled == ["structured", "binary"]
    (entry,) = bench.dead_letters.entries
    assert list(entry.record.headers)[-len(FOREIGN) :] == FOREIGN


async def test_headers_of_others_do_not_stop_batches(bench: Bench) -> None:
    for number in range(3):
        await bench.send(f"{number}", headers=[*wire(sync_requested())[1], *FOREIGN])

    async with bench.consuming_batches():
        await until(lambda: bench.handled == ["0", "1", "2"])


async def test_a_header_name_that_is_not_text_does_not_stop_the_flow(bench: Bench) -> None:
    await bench.send("first")
    await _send_header_name(bench, b"\xff\xfe")
    await bench.send("good")

    async with bench.consuming():
        await until(lambda: bench.handled == ["first", "good"])

    (entry,) = bench.dead_letters.entries
    record, error = entry.record, entry.error
    assert (record.offset, error.reason) == (1, "header_undecodable")


async def test_a_header_name_that_is_not_text_does_not_stop_batches(kafka: str) -> None:
    async with bench_on(kafka, partitions=2) as bench:
        for number in range(20):
            await bench.send(f"{number}", partition=number % 2)
        await _send_header_name(bench, b"\xff\xfe")
        await bench.send("20", partition=0)
        async with bench.consuming_batches():
            await until(lambda: len(bench.handled) == 21)

    (dead_letter,) = bench.dead_letters.entries
    assert (dead_letter.record.partition, dead_letter.record.offset) == (0, 10)
    assert bench.dead_letters.reasons() == ["header_undecodable"]
    assert sorted(bench.handled, key=int) == [str(number) for number in range(21)]


async def _send_header_name(bench: Bench, name: bytes) -> None:
    """No client of this language sends such a name; those of other languages do."""

    class Name(str):
        __slots__ = ()

        def encode(self, *_: object) -> bytes:
            return name

    batch: BatchBuilder = bench.producer.create_batch()
    builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 10_000)
    builder.append(0, 1, b"key", b"value", [(Name("x"), b"y")])
    batch._builder = builder  # noqa: SLF001 - no public way
    batch._relative_offset = 1  # noqa: SLF001 - the same
    await (await bench.producer.send_batch(batch, bench.topic.name, partition=0))


async def test_a_batch_is_delivered_again_whole_while_the_database_is_unavailable(bench: Bench) -> None:
    failures = iter([TransientError("away"), TimeoutError()])
    for number in range(5):
        await bench.send(f"{number}")

    async with bench.consuming_batches(lambda _: next(failures, None)):
        await until(lambda: len(bench.handled) == 5)

    assert sorted(bench.handled) == ["0", "1", "2", "3", "4"]
    assert bench.dead_letters.entries == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("a bug"), ("handler_failed", MAX_TRIES)),
        (MalformedError("body_malformed", "no"), ("body_malformed", 1)),
    ],
    ids=["bug", "malformed"],
)
async def test_only_the_record_that_is_to_blame_is_taken_out_of_a_batch(
    kafka: str, error: Exception, expected: tuple[str, int]
) -> None:
    async with bench_on(kafka, partitions=3) as bench:
        for number in range(6):
            await bench.send(f"{number}", partition=number % 3)
        async with bench.consuming_batches(lambda requests: error if "3" in requests else None):
            await until(lambda: len(bench.dead_letters.entries) == 1)
            await bench.send("6")
            await until(lambda: "6" in bench.handled)

    assert set(bench.handled) == {"0", "1", "2", "4", "5", "6"}
    (dead_letter,) = bench.dead_letters.entries
    assert (dead_letter.record.partition, dead_letter.record.offset) == (0, 1)
    assert (dead_letter.error.reason, dead_letter.attempts) == expected


async def test_a_consumer_that_joins_takes_over_without_loss_or_repetition(kafka: str) -> None:
    async with bench_on(kafka, partitions=4) as bench:
        sent = [str(number) for number in range(400)]
        async with bench.consuming():
            for number in sent[:200]:
                await bench.send(number, partition=int(number) % 4)
            async with bench.consuming():
                for number in sent[200:]:
                    await bench.send(number, partition=int(number) % 4)
                await until(lambda: len(bench.handled) >= 250)
            await until(lambda: set(bench.handled) == set(sent))

    assert len(bench.handled) == len(sent)


async def test_a_named_instance_that_died_takes_up_its_partitions_at_once(bench: Bench) -> None:
    await bench.send("one")
    dead = bench.consuming(instance_name="one-1")
    await dead.__aenter__()
    await until(lambda: bench.handled == ["one"])
    await bench.send("two")

    async with asyncio.timeout(10), bench.consuming(instance_name="one-1"):
        await until(lambda: "two" in bench.handled)

    await dead.__aexit__(None, None, None)


async def test_a_version_that_fails_on_everything_is_stopped_before_the_topic_is_empty(bench: Bench) -> None:
    for number in range(20):
        await bench.send(f"{number}")

    async with bench.consuming(lambda _: ValueError("an unknown bug")):
        await until(lambda: STOPPED_PAUSES[0] in bench.pauses)
        assert len(bench.dead_letters.entries) == 10

    async with bench.consuming():
        await until(lambda: len(bench.handled) == 10)
    assert bench.handled == [str(number) for number in range(10, 20)]


async def test_records_of_a_topic_that_is_gathered_wait_for_each_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here as long as a minute, until there are three of them."""
    options = {"fetch_min_bytes": 2_500, "fetch_max_wait_ms": 60_000}
    monkeypatch.setattr("common.kafka.consumer.GATHERING", options)
    value, headers = wire(sync_requested(), event_id="x" * 500)  # with the rest a kilobyte

    async with asyncio.timeout(20), bench.consuming_batches(gathered=True):
        for _ in range(2):
            bench.handled.clear()
            for _ in range(3):
                await bench.send("any", value=value, headers=headers)
            await until(lambda: len(bench.handled) == 3)

    assert bench.batches == [3, 3]


@pytest.mark.parametrize(
    ("keys", "is_behind", "rests"),
    [("ab", False, True), ("ab", True, False), ("aa", False, False), ("a", False, False), ("", False, False)],
)
async def test_only_while_records_of_several_keys_arrive_and_no_more_are_there_the_next_poll_waits(
    monkeypatch: pytest.MonkeyPatch, keys: str, *, is_behind: bool, rests: bool
) -> None:
    records = [ConsumerRecord("topic", 0, 0, 0, 0, key.encode(), b"", None, 0, 0, ()) for key in keys]

    async def found(*_: object, **__: object) -> dict[TopicPartition, list[ConsumerRecord]]:
        return {TopicPartition("topic", 0): records}

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", found)
    monkeypatch.setattr(tolerant_consumer, "is_behind", lambda _: is_behind)
    monkeypatch.setattr(tolerant_consumer, "REST_SECONDS", 3600.0)
    consumer = tolerant_consumer.TolerantConsumer()
    await consumer.getmany()
    polling = asyncio.create_task(consumer.getmany())
    await others_have_run()

    assert polling.done() is not rests
    polling.cancel()
    await consumer.stop()
