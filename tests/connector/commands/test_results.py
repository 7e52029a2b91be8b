"""Each command has one result: published when the broker is available, and the same event whenever it comes again."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from contract.fields import Plan
from contract.tracing import tracing

from tests.connector.support.commands import A_MINUTE_LATER, CommandsHarness, change_plan, rename
from tests.support.messages import ACCOUNT, PARENT

UNREADABLE = json.dumps({"command_id": "unreadable", "account_id": ACCOUNT}).encode()


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


async def test_a_command_that_is_sent_again_gets_the_same_result_again(commands: CommandsHarness) -> None:
    integration_id, rejected = await commands.connected(), rename("rejected", uuid4())
    await commands.do(rename("one", integration_id), rejected)
    await commands.send_raw("ChangePlan", UNREADABLE)
    await commands.work()
    first = commands.results()[1:]
    await commands.connector.sql(A_MINUTE_LATER)

    await commands.send(rename("one", integration_id, "Other"), change_plan("rejected"))
    await commands.send_raw("ChangePlan", UNREADABLE)
    await commands.work()

    assert [one.type for one in first] == ["CommandSucceeded", "CommandRejected", "CommandRejected"]
    assert commands.results()[4:] == first, "byte for byte"
    assert (await commands.integrations())[0]["label"] == "Research"


async def test_a_result_is_published_at_most_once_a_minute_and_never_forgotten(commands: CommandsHarness) -> None:
    sent = change_plan("one")
    await commands.do(sent)

    await commands.do(*[sent] * 20)
    assert len(commands.results()) == 1
    ((pause,),) = await commands.connector.sql("SELECT repeat_at - published_at FROM commands")
    assert pause == timedelta(minutes=1)

    await commands.connector.sql(A_MINUTE_LATER)
    await commands.do(*[sent] * 20)
    assert len(commands.results()) == 2


async def test_a_copy_that_waits_for_its_first_result_gets_no_second_one(commands: CommandsHarness) -> None:
    sent, rejected = change_plan("one"), change_plan("two", expires_at=datetime.now(UTC) + timedelta(days=8))
    await commands.send(sent, sent, rejected, rejected)
    await commands.work()
    await commands.connector.sql(A_MINUTE_LATER)
    await commands.work()

    assert sorted(commands.ids()) == ["one", "two"]


async def test_a_replay_publishes_no_result_again(commands: CommandsHarness) -> None:
    first, lost = change_plan("one", Plan.ULTIMATE), change_plan("lost")
    await commands.do(first)
    await commands.connector.sql(A_MINUTE_LATER)

    await commands.replay(first, lost)
    await commands.work()

    assert commands.ids() == ["one", "lost"], "what had never arrived is a command like any other"


async def test_what_a_command_leads_to_carries_its_trace(commands: CommandsHarness) -> None:
    integration_id = await commands.connected()
    await commands.connector.relay.publish_due()
    with tracing(PARENT):
        await commands.send(rename("one", integration_id), rename("two", uuid4()))
        await commands.send_raw("RenameIntegration", b'{"command_id": "three", "account_id": "%s"}' % ACCOUNT.encode())

    await commands.work()
    await commands.connector.relay.publish_due()

    traced = [one for one in commands.connector.publisher.published if one.headers.get("traceparent") == PARENT]
    assert sorted(one.type for one in traced) == [*["CommandRejected"] * 2, "CommandSucceeded", "IntegrationChanged"]
