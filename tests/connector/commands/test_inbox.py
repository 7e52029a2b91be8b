"""Leases on commands: one of an account at a time, free again when its process returns, or when the lease expires."""

from connector.commands import inbox
from contract.fields import Plan

from tests.connector.support.commands import EXPIRE_LEASES, OTHER, CommandsHarness, change_plan


async def test_two_claims_at_the_same_moment_are_of_different_accounts(commands: CommandsHarness) -> None:
    await commands.send(change_plan("one"), change_plan("two"), change_plan("three", account_id=OTHER))

    database = commands.connector.database
    async with database.direct() as first, database.direct() as second, first.transaction(), second.transaction():
        claims = [await inbox.claim(driver, "any") for driver in (first, second, second)]

    assert [claim and claim.command_id for claim in claims] == ["one", "three", None]


async def test_a_process_that_is_back_frees_at_once_what_it_had_leased_when_it_died(commands: CommandsHarness) -> None:
    await commands.send(change_plan("one"))
    async with commands.connector.database.direct() as driver:
        await inbox.claim(driver, "first")

    await commands.work()

    assert commands.code("one") is None


async def test_another_process_does_what_a_dead_one_had_leased_once_the_lease_expires(
    commands: CommandsHarness,
) -> None:
    await commands.send(change_plan("one"), change_plan("two", Plan.ULTIMATE))
    async with commands.connector.database.direct() as driver:
        await inbox.claim(driver, "dead")
        assert await inbox.claim(driver, "alive") is None, "the second waits for the first"

    await commands.connector.sql(EXPIRE_LEASES)
    await commands.work()

    assert commands.ids() == ["one", "two"]
