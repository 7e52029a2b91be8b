"""Offsets of what was handled, and of nothing else, are committed: late as a rule, and always before others continue."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from common.kafka import late_commits
from common.kafka.tolerant_consumer import TolerantConsumer
from structlog.testing import capture_logs

from tests.support.consumer_bench import Bench, bench_on
from tests.support.waiting import until

FOR_EVER = 3600.0
"""More than a test may take."""


@pytest.fixture
async def bench(kafka: str) -> AsyncIterator[Bench]:
    async with bench_on(kafka) as one:
        yield one


@asynccontextmanager
async def member(bench: Bench, group: str) -> AsyncIterator[TolerantConsumer]:
    options = {"group_id": group, "auto_offset_reset": "earliest", "enable_auto_commit": False}
    consumer = TolerantConsumer(bench.topic.name, bootstrap_servers=bench.servers, **options)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _poll(consumer: TolerantConsumer, count: int = 1) -> list[int]:
    """The offsets of the next records, so many at a time."""
    found = await consumer.getmany(timeout_ms=10_000, max_records=count)
    return [record.offset for records in found.values() for record in records]


async def _committed(bench: Bench, group: str) -> int | None:
    async with member(bench, group) as consumer:
        offset: int | None = await consumer.committed(TopicPartition(bench.topic.name, 0))
        return offset


async def test_a_consumer_that_stops_commits_what_it_handled_and_not_what_it_only_polled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_commits, "COMMIT_SECONDS", FOR_EVER)
    group = f"test.{uuid.uuid4().hex}"
    for number in range(3):
        await bench.send(f"{number}")
    async with member(bench, group) as consumer:
        for expected in (0, 1):
            assert await _poll(consumer) == [expected]
            await consumer.commit()
        assert await _poll(consumer) == [2]

    assert await _committed(bench, group) == 2


async def test_offsets_of_several_batches_are_committed_together_after_a_while(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_commits, "COMMIT_SECONDS", 0.2)
    commits: list[dict[TopicPartition, int]] = []
    for number in range(3):
        await bench.send(f"{number}")
    async with member(bench, f"test.{uuid.uuid4().hex}") as consumer:

        async def commit(offsets: dict[TopicPartition, int]) -> None:
            commits.append(offsets)

        monkeypatch.setattr(consumer._commits, "_commit", commit)  # noqa: SLF001 - what the broker is asked
        for _ in range(3):
            await _poll(consumer)
            await consumer.commit()
        await until(lambda: bool(commits))
        await bench.send("later")
        await _poll(consumer)
        await consumer.commit()
        await until(lambda: len(commits) == 2)

    assert [list(one.values()) for one in commits] == [[3], [4]]


async def test_partitions_that_another_member_gets_are_committed_first(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_commits, "COMMIT_SECONDS", FOR_EVER)
    async with bench_on(kafka, partitions=2) as bench, bench.consuming():
        await bench.send("0", partition=0)
        await bench.send("1", partition=1)
        await until(lambda: len(bench.handled) == 2)
        async with bench.consuming():
            await until(lambda: all(len(one.consumer.assignment()) == 1 for one in bench.subscribers))
            await bench.send("2", partition=0)
            await bench.send("3", partition=1)
            await until(lambda: len(bench.handled) >= 4)

    assert sorted(bench.handled) == ["0", "1", "2", "3"]


async def test_what_was_noted_before_the_partitions_were_shared_out_again_is_not_committed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_commits, "COMMIT_SECONDS", FOR_EVER)
    group = f"test.{uuid.uuid4().hex}"
    await bench.send("0")
    async with member(bench, group) as consumer:
        await _poll(consumer)
        await consumer.commit()
        monkeypatch.setattr(late_commits, "assignment_of", lambda _: object())
        await consumer.commit_handled()

    assert await _committed(bench, group) is None


async def test_a_commit_that_fails_is_reported_and_the_next_one_has_it_all(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = f"test.{uuid.uuid4().hex}"
    for number in range(2):
        await bench.send(f"{number}")
    async with member(bench, group) as consumer:

        async def fail(_: object) -> None:
            raise CommitFailedError

        with monkeypatch.context() as patch, capture_logs() as logs:
            patch.setattr(consumer._commits, "_commit", fail)  # noqa: SLF001 - the broker's answer
            await _poll(consumer)
            await consumer.commit()
            await consumer.commit_handled()
        await _poll(consumer)
        await consumer.commit()

    assert [(one["event"], one["error"]) for one in logs] == [("consumer.not_committed", "CommitFailedError")]
    assert await _committed(bench, group) == 2


async def test_a_commit_that_nobody_answers_is_not_waited_for_without_end_and_not_sent_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_commits, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(late_commits, "COMMIT_DEADLINE", 0.01)
    began, ended = asyncio.Event(), asyncio.Event()
    await bench.send("0")
    async with asyncio.timeout(30), member(bench, f"test.{uuid.uuid4().hex}") as consumer:

        async def hang(_: object) -> None:
            began.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.set()

        monkeypatch.setattr(consumer._commits, "_commit", hang)  # noqa: SLF001 - a broker that is silent
        await _poll(consumer)
        await consumer.commit()
        await began.wait()
        await consumer.commit_handled()
        await ended.wait()
