"""Who missed a result on the topic asks how the command ended."""

from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from common.watchdog import Watchdog
from connector.housekeeping import KEEP_COMMANDS, Housekeeping

from tests.connector.support.commands import OTHER, CommandsHarness, change_plan, rename

NOTHING = {"integration_id": None, "code": None, "detail": None}


async def state(commands: CommandsHarness, command_id: str, *, status: int = 200) -> Any:
    return await commands.connector.call("GET", f"/commands/{quote(command_id, safe='')}", status=status)


async def test_a_command_waits_until_it_is_done(commands: CommandsHarness) -> None:
    await commands.send(change_plan("one"))
    waiting = await state(commands, "one")

    await commands.work()

    assert waiting == NOTHING | {"state": "waiting"}
    assert await state(commands, "one") == NOTHING | {"state": "succeeded"}


async def test_the_answer_is_the_result_on_the_topic(commands: CommandsHarness) -> None:
    integration_id = await commands.connected()
    await commands.do(rename("good", integration_id), rename("wrong", uuid4()), commands.add("twice"))

    good, wrong, twice = [await state(commands, one) for one in ("good", "wrong", "twice")]

    assert good == NOTHING | {"state": "succeeded", "integration_id": str(integration_id)}
    assert (wrong["state"], wrong["code"]) == ("rejected", "not_found")
    assert (twice["code"], twice["integration_id"]) == ("already_connected", str(integration_id))
    assert wrong["detail"] == commands.result("wrong").detail


async def test_a_command_that_never_came_or_is_another_accounts_is_not_found(commands: CommandsHarness) -> None:
    await commands.do(change_plan("theirs", account_id=OTHER))

    problem = await state(commands, "theirs", status=404)

    assert problem["code"] == "not_found"
    assert "publish it again" in problem["detail"]
    assert await state(commands, "never", status=404) == problem


async def test_a_command_is_forgotten_after_30_days(commands: CommandsHarness) -> None:
    await commands.do(change_plan("one"))
    await commands.connector.sql(
        "UPDATE commands SET received_at = received_at - CAST(:age AS interval)", age=KEEP_COMMANDS
    )

    await Housekeeping(commands.connector.database, commands.connector.publisher, Watchdog()).delete_expired()

    assert KEEP_COMMANDS.days == 30
    await state(commands, "one", status=404)


@pytest.mark.parametrize("command_id", ["a/b", "../syncs", "a b?c#d%25", "é" * 200])
async def test_every_id_that_a_command_may_have_is_found(commands: CommandsHarness, command_id: str) -> None:
    await commands.do(change_plan(command_id))

    assert (await state(commands, command_id))["state"] == "succeeded"


@pytest.mark.parametrize("command_id", ["", "a\x00b", "x" * 201])
async def test_what_no_command_can_have_as_id_is_refused(commands: CommandsHarness, command_id: str) -> None:
    assert (await state(commands, command_id, status=422))["code"] == "request_malformed"
