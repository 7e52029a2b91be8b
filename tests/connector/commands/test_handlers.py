"""Commands that come by topic: each takes effect once, in the order of first arrival, and gets exactly one result."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from common.crypto.envelopes import Binding
from common.crypto.sealed_commands import SealingKey, seal
from contract.fields import History, Plan

from tests.connector.support.commands import OTHER, REFUSED_KEY, Office, change_plan, remove, rename
from tests.connector.support.connector import ACCOUNT

# each command, and what it answers


async def test_a_team_is_connected_by_a_command(office: Office) -> None:
    await office.arrives(office.add("one", "obviously-fake-good-key", label="Research", plan=Plan.PRO))
    await office.settled()

    integration_id = office.result("one").integration_id
    ((found, envelope),) = await office.world.sql("SELECT integration_id, envelope FROM integrations")
    assert found == integration_id
    assert office.world.opener.open(envelope, Binding(ACCOUNT, found, 1)) == "obviously-fake-good-key"
    assert office.code("one") is None


async def test_a_key_is_replaced_by_a_command(office: Office) -> None:
    integration_id = await office.connected()

    await office.arrives(office.replace("one", integration_id, " another-fake-key\n"))
    await office.settled()

    ((envelope,),) = await office.world.sql("SELECT envelope FROM integrations")
    assert office.world.opener.open(envelope, Binding(ACCOUNT, integration_id, 2)) == "another-fake-key"
    assert office.result("one").integration_id == integration_id


async def test_an_integration_is_renamed_put_on_another_plan_and_removed_by_commands(office: Office) -> None:
    integration_id = await office.connected()

    await office.arrives(
        rename("one", integration_id, "Research"),
        change_plan("two", Plan.ULTIMATE),
        remove("three", integration_id, History.ERASE),
    )
    await office.settled()

    assert [office.result(one).integration_id for one in ("one", "two", "three")] == [
        integration_id,
        None,
        integration_id,
    ]
    (row,) = await office.rows()
    assert (row["label"], row["plan"], row["status"], row["history"]) == ("Research", "ultimate", "removed", "erase")


@pytest.mark.parametrize(
    ("key", "changes", "code"),
    [
        (REFUSED_KEY, {}, "key_refused"),
        ("not a key", {}, "key_malformed"),
        ("k" * 1000, {}, "key_malformed"),
        ("good", {"sealed_key": "v1.one." + "A" * 43 + ".AAAA"}, "unsealable"),
    ],
)
async def test_a_team_that_cannot_be_connected_is_rejected_in_words(
    office: Office, key: str, changes: dict[str, str], code: str
) -> None:
    await office.arrives(office.add("one", key, **changes))
    await office.settled()

    assert office.code("one") == code
    assert office.result("one").detail.endswith(".")
    assert await office.rows() == []


async def test_a_second_integration_of_the_team_is_rejected_and_the_first_is_named(office: Office) -> None:
    integration_id = await office.connected()

    await office.arrives(office.add("one"))
    await office.settled()

    assert (office.code("one"), office.result("one").integration_id) == ("already_connected", integration_id)


async def test_an_integration_of_another_account_is_not_there(office: Office) -> None:
    integration_id = await office.connected()

    await office.arrives(
        rename("one", integration_id, account_id=OTHER),
        remove("two", integration_id, account_id=OTHER),
        office.replace("three", integration_id, "good", account_id=OTHER),
        rename("four", uuid4()),
    )
    await office.settled()

    assert {office.code(one) for one in ("one", "two", "three", "four")} == {"not_found"}
    assert office.result("one").integration_id == integration_id
    assert (await office.rows())[0]["version"] == 1


async def test_a_key_that_was_sealed_for_something_else_does_not_open(office: Office) -> None:
    stranger = SealingKey("one", bytes([9]) + bytes(31))
    unknown = SealingKey("retired", office.opener.recipient().public_key)
    bound = {"account_id": ACCOUNT, "command_id": "command-3"}
    sealed = [
        office.sealed("good", "another-command"),
        office.sealed("good", "command-1", OTHER),
        seal("good", office.opener.recipient(), environment="another", account_id=ACCOUNT, command_id="command-2"),
        seal("good", stranger, environment="test", **bound),
        seal("good", unknown, environment="test", account_id=ACCOUNT, command_id="command-4"),
    ]

    await office.arrives(*(office.add(f"command-{number}", sealed_key=one) for number, one in enumerate(sealed)))
    await office.settled()

    assert {office.code(f"command-{number}") for number in range(len(sealed))} == {"unsealable"}
    assert office.asked == []


# time


async def test_a_command_whose_time_has_passed_is_rejected(office: Office) -> None:
    await office.arrives(change_plan("one", Plan.PRO, expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    await office.settled()

    assert office.code("one") == "expired"
    assert await office.world.sql("SELECT 1 FROM accounts") == []


async def test_a_command_that_expires_while_it_waits_is_rejected(office: Office) -> None:
    await office.arrives(change_plan("one", Plan.PRO))
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    await office.world.sql(
        "UPDATE commands SET body = jsonb_set(body, '{expires_at}', to_jsonb(CAST(:past AS text)))", past=past
    )

    await office.settled()

    assert office.code("one") == "expired"


@pytest.mark.parametrize(
    ("ahead", "code"), [(timedelta(days=7, minutes=59), None), (timedelta(days=7, minutes=61), "request_malformed")]
)
async def test_a_command_may_wait_for_a_week_at_most(office: Office, ahead: timedelta, code: str | None) -> None:
    await office.arrives(change_plan("one", Plan.PRO, expires_at=datetime.now(UTC) + ahead))
    await office.settled()

    assert office.code("one") == code
