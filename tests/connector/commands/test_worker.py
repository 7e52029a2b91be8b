"""Who does commands: slow ones hold up nobody else, and a crash between any two steps is made good."""

import asyncio
from typing import Any
from uuid import uuid4

from connector.commands import inbox
from contract.fields import Plan
from contract.messages import ChangePlan
from sqlalchemy.exc import OperationalError

from tests.connector.support.commands import OTHER, SLOW_KEY, Office, change_plan, rename
from tests.connector.support.connector import ACCOUNT


async def test_one_accounts_slow_test_holds_up_its_own_commands_only(office: Office) -> None:
    await office.arrives(
        office.add("slow", SLOW_KEY), change_plan("behind", Plan.PRO), change_plan("other", Plan.PRO, account_id=OTHER)
    )

    async with office.first.working():
        await office.ended("other")
        assert [one.message.command_id for one in office.told()] == ["other"]
        office.answer_slow_ones.set()
        await office.ended()

    assert [one.message.command_id for one in office.told()] == ["other", "slow", "behind"]


async def test_no_more_commands_are_in_hand_than_allowed(office: Office) -> None:
    await office.arrives(
        *(office.add(f"slow-{number}", SLOW_KEY, account_id=f"account-{number}") for number in range(6))
    )

    async with office.first.working():
        async with asyncio.timeout(10):
            while len(office.asked) < 4:
                await asyncio.sleep(0.005)
        held = await office.world.sql("SELECT count(*) FROM commands WHERE lease IS NOT NULL")
        office.answer_slow_ones.set()
        await office.ended()

    assert held == [(4,)]
    assert len(office.asked) == 6


async def test_what_a_process_held_when_it_died_is_done_as_soon_as_it_is_back(office: Office) -> None:
    await office.arrives(change_plan("one", Plan.PRO))
    async with office.world.database.transaction() as connection:
        await inbox.claim(connection, "first")

    await office.settled()

    assert office.code("one") is None


async def test_what_a_process_held_when_it_died_is_done_by_another_when_the_lease_has_run_out(office: Office) -> None:
    await office.arrives(change_plan("one", Plan.PRO), change_plan("two", Plan.ULTIMATE))
    async with office.world.database.transaction() as connection:
        await inbox.claim(connection, "dead")
        assert await inbox.claim(connection, "alive") is None, "the second waits for the first"

    await office.world.sql("UPDATE commands SET lease_until = clock_timestamp() WHERE lease IS NOT NULL")
    await office.settled()

    assert [one.message.command_id for one in office.told()] == ["one", "two"]


async def test_two_that_claim_at_the_same_moment_get_commands_of_different_accounts(office: Office) -> None:
    await office.arrives(change_plan("one", Plan.PRO), change_plan("two", Plan.FREE))
    await office.arrives(change_plan("three", Plan.PRO, account_id=OTHER))

    async with office.world.database.transaction() as first, office.world.database.transaction() as second:
        claims = [await inbox.claim(connection, "any") for connection in (first, second, second)]

    assert [claim and claim.command_id for claim in claims] == ["one", "three", None]


async def test_who_lost_the_lease_leaves_no_trace(office: Office) -> None:
    integration_id = await office.connected()
    await office.arrives(office.replace("one", integration_id, SLOW_KEY))
    second = office.process("second")

    async with office.first.working(), second.working():
        for times in (1, 2):
            async with asyncio.timeout(10):
                while office.asked.count(SLOW_KEY) < times:
                    await asyncio.sleep(0.005)
            if times == 1:
                await office.world.sql("UPDATE commands SET lease_until = clock_timestamp() WHERE lease IS NOT NULL")
        office.answer_slow_ones.set()
        await office.ended()

    assert (await office.rows())[0]["credential_version"] == 2
    assert office.code("one") is None


async def test_a_process_that_ends_leaves_what_is_in_hand_to_others_at_once(office: Office) -> None:
    await office.arrives(office.add("one", SLOW_KEY))
    async with office.first.working(), asyncio.timeout(10):
        while not office.asked:
            await asyncio.sleep(0.005)

    office.answer_slow_ones.set()
    await office.settled(office.process("second"))

    assert office.code("one") is None


async def test_a_result_waits_for_the_broker_and_is_told_once_it_is_back(office: Office) -> None:
    office.world.publisher.away = True
    await office.arrives(change_plan("one", Plan.PRO))
    async with office.first.working(), asyncio.timeout(10):
        while not await office.world.sql("SELECT 1 FROM commands WHERE done_at IS NOT NULL"):
            await asyncio.sleep(0.005)
    office.world.publisher.away = False

    await office.settled(office.process("second"))

    assert office.code("one") is None


async def test_a_result_that_is_told_again_after_a_crash_is_the_same_event(office: Office) -> None:
    await office.arrives(change_plan("one", Plan.PRO), rename("two", uuid4()))
    await office.settled()
    await office.world.sql("UPDATE commands SET published_at = NULL")
    await office.settled()

    assert len(office.told()) == 4
    assert office.told()[:2] == office.told()[2:]
    assert {one.key for one in office.told()} == {ACCOUNT}


async def test_what_is_away_is_waited_for_and_a_bug_is_given_up(office: Office) -> None:
    away = iter([OperationalError("SELECT 1", {}, ConnectionError())] * 8)
    tried: list[str] = []

    async def act(command: ChangePlan, note: Any) -> None:
        if error := next(away, None):
            raise error
        tried.append(command.command_id)
        if command.command_id == "bug":
            raise ValueError
        await office.acts[ChangePlan](command, note)

    await office.arrives(change_plan("bug", Plan.PRO), change_plan("good", Plan.PRO))
    await office.settled(office.process("first", {ChangePlan: act}))

    assert tried == ["bug"] * 5 + ["good"]
    assert (office.code("bug"), office.code("good")) == ("internal", None)


async def test_what_another_release_kept_and_this_one_does_not_know_is_given_up(office: Office) -> None:
    await office.arrives(change_plan("one", Plan.PRO))
    await office.world.sql("UPDATE commands SET type = 'Unheard'")

    await office.settled()

    assert office.code("one") == "internal"
