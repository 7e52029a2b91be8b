"""Consumers fetch when they should; and the code of aiokafka that this relies on is what it was written for."""

import asyncio
import hashlib
import inspect
import time
import uuid
from collections.abc import Callable
from itertools import chain, count
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import Fetcher, FetchError, FetchResult
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment, Subscription
from common.kafka.consumer_state import is_behind, positions
from common.kafka.tolerant_consumer import TolerantConsumer

from tests.support.consumer_bench import bench_on

READ_WITH = {
    Assignment.all_consumed_offsets: "5ca3ea96",
    Subscription._assign: "bf731e02",  # noqa: SLF001 - that is what the test is about
    GroupCoordinator._on_join_prepare: "4d9524af",  # noqa: SLF001 - the same
    GroupCoordinator._coordination_routine: "75273e12",  # noqa: SLF001 - the same
    Fetcher._get_actions_per_node: "1dab2cf9",  # noqa: SLF001 - the same
    Fetcher._fetch_requests_routine: "2a8ec593",  # noqa: SLF001 - the same
    FetchResult.calculate_backoff: "a4f1c8ba",
    FetchError.calculate_backoff: "a4f1c8ba",
}
"""What is relied on, by the beginning of the SHA-256 of its source."""


@pytest.mark.parametrize("code", READ_WITH, ids=lambda code: code.__qualname__)
def test_the_code_of_aiokafka_that_is_relied_on_has_not_changed(code: Callable[..., Any]) -> None:
    found = hashlib.sha256(inspect.getsource(code).encode()).hexdigest()
    assert found.startswith(READ_WITH[code]), f"read {code.__qualname__} again, then consumer_state.py: {found[:8]}"


async def test_a_partition_with_more_records_does_not_wait_until_others_have_some(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every poll takes so long that what it left would be fetched without what it got."""
    seconds = count(step=10.0)
    monkeypatch.setattr(fetcher, "time", SimpleNamespace(time=time.time, monotonic=lambda: next(seconds)))
    async with bench_on(kafka, partitions=2) as bench:
        for number in range(3):
            await bench.send(f"{number}", partition=0)
        consumer = TolerantConsumer(
            bench.topic.name,
            bootstrap_servers=kafka,
            group_id=f"test.{uuid.uuid4().hex}",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=60_000,
            max_partition_fetch_bytes=1,  # a record each time
        )
        await consumer.start()
        try:
            offsets: list[int] = []
            async with asyncio.timeout(10):
                while len(offsets) < 3:
                    found = await consumer.getmany(timeout_ms=1)
                    offsets += [record.offset for record in chain.from_iterable(found.values())]
                    assert is_behind(consumer) is (len(offsets) < 3)
        finally:
            await consumer.stop()
    assert offsets == [0, 1, 2]


async def test_a_consumer_without_partitions_has_no_positions(kafka: str) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    assert positions(consumer) == {}
    assert not is_behind(consumer)
    await consumer.stop()
