"""Commands take effect once, in the order of first arrival, however often and in whatever order they arrive."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from common.crypto.envelopes import Binding
from contract.fields import History, Plan
from contract.messages import Command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.connector.support.commands import OTHER, REFUSED_KEY, CommandsHarness, change_plan, remove, rename
from tests.connector.support.connector import team_of
from tests.support.messages import ACCOUNT

ACCOUNTS = (ACCOUNT, OTHER)


async def test_the_first_arrival_of_an_id_counts_whatever_a_later_one_contains(commands: CommandsHarness) -> None:
    await commands.do(change_plan("one", Plan.PRO), change_plan("one", Plan.ULTIMATE))
    await commands.send_raw("ChangePlan", json.dumps({"command_id": "one", "account_id": ACCOUNT}).encode())
    await commands.do(change_plan("one", Plan.FREE, account_id=OTHER))

    plans = await commands.connector.sql("SELECT account_id, plan FROM accounts ORDER BY 1")
    assert plans == [(ACCOUNT, "pro"), (OTHER, "free")]
    assert [one.message.account_id for one in commands.results()] == [ACCOUNT, OTHER]


async def test_a_replay_of_all_commands_changes_and_publishes_nothing(commands: CommandsHarness) -> None:
    integration_id = await commands.connected()
    sent: list[Command] = [
        rename("one", integration_id, "Research"),
        rename("two", integration_id, "Production"),
        commands.add("three"),
    ]
    await commands.do(*sent)
    before = await commands.integrations(), len(commands.results()), len(commands.keys_tested)

    await commands.do(*sent, *reversed(sent))

    assert (await commands.integrations(), len(commands.results()), len(commands.keys_tested)) == before
    assert before[0][0]["label"] == "Production"


ACTIONS = st.one_of(
    st.tuples(
        st.just("add"),
        st.integers(0, 2),
        st.sampled_from(["good", "good", REFUSED_KEY, "elsewhere"]),
        st.sampled_from(Plan),
    ),
    st.tuples(st.just("replace"), st.integers(0, 2), st.sampled_from(["better", REFUSED_KEY, "elsewhere"])),
    st.tuples(st.just("rename"), st.integers(0, 2), st.sampled_from(["Research", "Production"])),
    st.tuples(st.just("plan"), st.just(0), st.sampled_from(Plan)),
    st.tuples(st.just("remove"), st.integers(0, 2), st.sampled_from(History)),
    st.tuples(st.just("expired"), st.just(0)),
)
"""What to do, to which team or integration, and how."""


def command_of(
    commands: CommandsHarness, name: str, account_id: str, action: tuple[Any, ...], known: Sequence[Any]
) -> Command:
    what, number, *how = action
    changes: dict[str, Any] = {"account_id": account_id}
    if how and how[0] == "elsewhere":
        changes["sealed_key"] = commands.sealed("good", "elsewhere")
    match what:
        case "add":
            return commands.add(name, how[0], team_id=team_of(f"team-{number}"), plan=how[1], **changes)
        case "replace":
            return commands.replace(name, known[number], how[0], **changes)
        case "rename":
            return rename(name, known[number], how[0], **changes)
        case "plan":
            return change_plan(name, how[0], **changes)
        case "remove":
            return remove(name, known[number], how[0], **changes)
        case _:
            return change_plan(name, expires_at=datetime.now(UTC) - timedelta(hours=1), **changes)


async def start(commands: CommandsHarness) -> list[Any]:
    """Two integrations of one account and one of another, and nothing else."""
    await commands.connector.sql("TRUNCATE accounts, integrations, syncs, account_events, commands")
    added = [
        commands.add(f"begin-{number}", team_id=team_of(f"team-{number}"), account_id=ACCOUNTS[number // 2])
        for number in range(3)
    ]
    await commands.do(*added)
    known = [commands.result(one.command_id).integration_id for one in added]
    commands.connector.publisher.published.clear()
    return known


async def outcome(commands: CommandsHarness) -> dict[str, Any]:
    """The final state, without what chance and clocks decide."""
    rows = await commands.connector.sql(
        """SELECT i.account_id, team_id, label, plan, status, history, version, credential_version, envelope, integration_id
           FROM integrations i JOIN accounts USING (account_id) ORDER BY i.account_id, team_id, added_at"""
    )
    opener = commands.connector.opener
    keys = [
        row.envelope and opener.open(row.envelope, Binding(row.account_id, row.integration_id, row.credential_version))
        for row in rows
    ]
    results = sorted(
        (one.message.account_id, one.message.command_id, commands.code(one.message.command_id) or "")
        for one in commands.results()
    )
    return {"integrations": [tuple(row)[:8] for row in rows], "keys": keys, "results": results}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(st.tuples(st.sampled_from(ACCOUNTS), ACTIONS), min_size=1, max_size=6), data=st.data())
async def test_commands_that_arrive_five_times_in_any_order_take_effect_once(
    commands: CommandsHarness, actions: list[tuple[str, tuple[Any, ...]]], data: st.DataObject
) -> None:
    arrivals = data.draw(st.permutations([*range(len(actions))] * 5))

    known = await start(commands)
    sent = [command_of(commands, f"c{number}", *action, known) for number, action in enumerate(actions)]
    await commands.do(*(sent[number] for number in dict.fromkeys(arrivals)))
    once = await outcome(commands)

    known = await start(commands)
    sent = [command_of(commands, f"c{number}", *action, known) for number, action in enumerate(actions)]
    second = commands.process("second")
    async with commands.first.working(), second.working():
        for count, number in enumerate(arrivals):
            await commands.send(sent[number], process=(commands.first, second)[count % 2])
        await commands.ended()

    assert await outcome(commands) == once
    assert len(once["results"]) == len(actions)
