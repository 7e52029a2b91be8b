"""Slow commands delay no other account, and a crash between any two steps loses nothing."""

import asyncio
from typing import Any

from contract.messages import ChangePlan
from sqlalchemy.exc import OperationalError

from tests.connector.support.commands import EXPIRE_LEASES, OTHER, SLOW_KEY, CommandsHarness, change_plan


async def _tested(commands: CommandsHarness, count: int) -> None:
    """Wait for so many tests of the slow key."""
    async with asyncio.timeout(10):
        while commands.keys_tested.count(SLOW_KEY) < count:
            await asyncio.sleep(0.005)


async def test_a_slow_test_delays_only_its_own_accounts_commands(commands: CommandsHarness) -> None:
    await commands.send(commands.add("slow", SLOW_KEY), change_plan("behind"), change_plan("other", account_id=OTHER))

    async with commands.first.working():
        await commands.ended("other")
        assert commands.ids() == ["other"]
        commands.answer_slow_keys.set()
        await commands.ended()

    assert commands.ids() == ["other", "slow", "behind"]


async def test_no_more_commands_are_leased_than_allowed(commands: CommandsHarness) -> None:
    await commands.send(
        *(commands.add(f"slow-{number}", SLOW_KEY, account_id=f"account-{number}") for number in range(6))
    )

    async with commands.first.working():
        await _tested(commands, 4)
        leased = await commands.connector.sql("SELECT count(*) FROM commands WHERE lease IS NOT NULL")
        commands.answer_slow_keys.set()
        await commands.ended()

    assert leased == [(4,)]
    assert len(commands.keys_tested) == 6


async def test_an_attempt_that_lost_its_lease_leaves_no_trace(commands: CommandsHarness) -> None:
    integration_id = await commands.connected()
    await commands.send(commands.replace("one", integration_id, SLOW_KEY))

    async with commands.first.working(), commands.process("second").working():
        await _tested(commands, 1)
        await commands.connector.sql(EXPIRE_LEASES)
        await _tested(commands, 2)
        commands.answer_slow_keys.set()
        await commands.ended()

    assert (await commands.integrations())[0]["credential_version"] == 2
    assert commands.code("one") is None


async def test_a_process_that_stops_releases_its_commands_at_once(commands: CommandsHarness) -> None:
    await commands.send(commands.add("one", SLOW_KEY))
    async with commands.first.working():
        await _tested(commands, 1)

    commands.answer_slow_keys.set()
    await commands.work(commands.process("second"))

    assert commands.code("one") is None


async def test_an_outage_is_waited_for_and_a_bug_is_abandoned(commands: CommandsHarness) -> None:
    outage = iter([OperationalError("SELECT 1", {}, ConnectionError())] * 8)
    tried: list[str] = []

    async def change(command: ChangePlan, in_transaction: Any) -> None:
        if error := next(outage, None):
            raise error
        tried.append(command.command_id)
        if command.command_id == "bug":
            raise ValueError
        await commands.handlers[ChangePlan](command, in_transaction)

    await commands.send(change_plan("bug"), change_plan("good"))
    await commands.work(commands.process("first", {ChangePlan: change}))

    assert tried == ["bug"] * 5 + ["good"]
    assert (commands.code("bug"), commands.code("good")) == ("internal", None)


async def test_a_command_that_only_another_release_knows_is_abandoned(commands: CommandsHarness) -> None:
    await commands.send(change_plan("one"))
    await commands.connector.sql("UPDATE commands SET type = 'Unknown'")

    await commands.work()

    assert commands.code("one") == "internal"
