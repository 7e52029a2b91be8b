"""Each command has one result, published when the broker is available, and the same event after a crash."""

import asyncio
from uuid import uuid4

from tests.connector.support.commands import CommandsHarness, change_plan, rename
from tests.support.messages import ACCOUNT


async def test_a_result_waits_for_the_broker(commands: CommandsHarness) -> None:
    commands.connector.publisher.available(available=False)
    await commands.send(change_plan("one"))
    async with commands.first.working(), asyncio.timeout(10):
        while not await commands.connector.sql("SELECT 1 FROM commands WHERE done_at IS NOT NULL"):
            await asyncio.sleep(0.005)
    commands.connector.publisher.available()

    await commands.work(commands.process("second"))

    assert commands.code("one") is None


async def test_a_result_that_is_published_again_after_a_crash_is_the_same_event(commands: CommandsHarness) -> None:
    await commands.do(change_plan("one"), rename("two", uuid4()))
    await commands.connector.sql("UPDATE commands SET published_at = NULL")
    await commands.work()

    results = commands.results()
    assert len(results) == 4
    assert results[:2] == results[2:]
    assert {one.key for one in results} == {ACCOUNT}
