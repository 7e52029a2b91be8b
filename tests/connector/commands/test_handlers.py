"""What each command does, and why one is rejected."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from common.crypto.envelopes import Binding
from common.crypto.sealed_commands import SealingKey, seal
from contract.fields import History, Plan

from tests.connector.support.commands import OTHER, REFUSED_KEY, CommandsHarness, change_plan, remove, rename
from tests.connector.support.connector import TEAM
from tests.support.messages import ACCOUNT


async def test_a_command_connects_a_team(commands: CommandsHarness) -> None:
    integration_id = await commands.connected(label="Research", plan=Plan.PRO)

    ((found, envelope),) = await commands.connector.sql("SELECT integration_id, envelope FROM integrations")
    assert found == integration_id
    assert commands.connector.opener.open(envelope, Binding(ACCOUNT, found, 1)) == "obviously-fake-good-key"
    assert commands.code("add-0") is None


async def test_a_command_replaces_a_key(commands: CommandsHarness) -> None:
    integration_id = await commands.connected()

    await commands.do(commands.replace("one", integration_id, " another-fake-key\n"))

    ((envelope,),) = await commands.connector.sql("SELECT envelope FROM integrations")
    assert commands.connector.opener.open(envelope, Binding(ACCOUNT, integration_id, 2)) == "another-fake-key"
    assert commands.result("one").integration_id == integration_id


async def test_commands_rename_change_the_plan_and_remove(commands: CommandsHarness) -> None:
    integration_id = await commands.connected()

    await commands.do(
        rename("one", integration_id, "Research"),
        change_plan("two", Plan.ULTIMATE),
        remove("three", integration_id, History.ERASE),
    )

    ids = [commands.result(one).integration_id for one in ("one", "two", "three")]
    assert ids == [integration_id, None, integration_id]
    (row,) = await commands.integrations()
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
async def test_a_team_that_cannot_be_connected_is_rejected_with_a_sentence(
    commands: CommandsHarness, key: str, changes: dict[str, str], code: str
) -> None:
    await commands.do(commands.add("one", key, **changes))

    assert commands.code("one") == code
    assert commands.result("one").detail.endswith(".")
    assert await commands.integrations() == []


async def test_a_second_integration_of_a_team_is_rejected_with_the_id_of_the_first(commands: CommandsHarness) -> None:
    integration_id = await commands.connected()

    await commands.do(commands.add("one"))

    assert (commands.code("one"), commands.result("one").integration_id) == ("already_connected", integration_id)


async def test_a_team_is_connected_once_however_a_command_writes_its_id(commands: CommandsHarness) -> None:
    integration_id = await commands.connected(team_id=f"{{{TEAM.upper()}}}")

    await commands.do(commands.add("one"), commands.add("two", team_id=TEAM.replace("-", "")))

    assert {(commands.code(one), commands.result(one).integration_id) for one in ("one", "two")} == {
        ("already_connected", integration_id)
    }
    assert [row["team_id"] for row in await commands.integrations()] == [TEAM]


@pytest.mark.parametrize("team_id", ["team-1", "team/../else", "", TEAM[:-1]])
async def test_a_command_for_what_is_no_team_id_is_rejected_without_a_call_of_xai(
    commands: CommandsHarness, team_id: str
) -> None:
    await commands.do(commands.add("one", team_id=team_id))

    assert commands.code("one") == "team_malformed"
    assert commands.keys_tested == []


async def test_an_integration_of_another_account_is_not_found(commands: CommandsHarness) -> None:
    integration_id = await commands.connected()

    await commands.do(
        rename("one", integration_id, account_id=OTHER),
        remove("two", integration_id, account_id=OTHER),
        commands.replace("three", integration_id, "good", account_id=OTHER),
        rename("four", uuid4()),
    )

    assert {commands.code(one) for one in ("one", "two", "three", "four")} == {"not_found"}
    assert commands.result("one").integration_id == integration_id
    assert (await commands.integrations())[0]["version"] == 1


async def test_a_key_that_was_sealed_for_another_command_account_environment_or_key_does_not_open(
    commands: CommandsHarness,
) -> None:
    recipient = commands.opener.recipient()
    stranger = SealingKey("one", bytes([9]) + bytes(31))
    unknown = SealingKey("retired", recipient.public_key)
    keys = [
        commands.sealed("good", "another-command"),
        commands.sealed("good", "command-1", OTHER),
        seal("good", recipient, environment="another", account_id=ACCOUNT, command_id="command-2"),
        seal("good", stranger, environment="test", account_id=ACCOUNT, command_id="command-3"),
        seal("good", unknown, environment="test", account_id=ACCOUNT, command_id="command-4"),
    ]

    await commands.do(*(commands.add(f"command-{number}", sealed_key=key) for number, key in enumerate(keys)))

    assert {commands.code(f"command-{number}") for number in range(len(keys))} == {"unsealable"}
    assert commands.keys_tested == []


async def test_an_expired_command_is_rejected(commands: CommandsHarness) -> None:
    await commands.do(change_plan("one", expires_at=datetime.now(UTC) - timedelta(seconds=1)))

    assert commands.code("one") == "expired"
    assert await commands.connector.sql("SELECT 1 FROM accounts") == []


async def test_a_command_that_expires_while_it_waits_is_rejected(commands: CommandsHarness) -> None:
    await commands.send(change_plan("one"))
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    await commands.connector.sql(
        "UPDATE commands SET body = jsonb_set(body, '{expires_at}', to_jsonb(CAST(:past AS text)))", past=past
    )

    await commands.work()

    assert commands.code("one") == "expired"


@pytest.mark.parametrize(
    ("ahead", "code"), [(timedelta(days=7, minutes=59), None), (timedelta(days=7, minutes=61), "request_malformed")]
)
async def test_a_command_is_valid_for_a_week_at_most(
    commands: CommandsHarness, ahead: timedelta, code: str | None
) -> None:
    await commands.do(change_plan("one", expires_at=datetime.now(UTC) + ahead))

    assert commands.code("one") == code
