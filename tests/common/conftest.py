"""What the tests of the shared parts share."""

from collections.abc import AsyncIterator

import pytest

from tests.support.consumer_bench import Bench, bench_on


@pytest.fixture
async def bench(kafka: str) -> AsyncIterator[Bench]:
    async with bench_on(kafka) as bench:
        yield bench
