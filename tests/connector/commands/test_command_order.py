"""Commands take effect once, in the order of first arrival, however often and in whatever order they come."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from common.crypto.envelopes import Binding
from contract.fields import History, Plan
from contract.messages import Command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.connector.support.commands import OTHER, REFUSED_KEY, Office, change_plan, remove, rename
from tests.connector.support.connector import ACCOUNT

ACCOUNTS = (ACCOUNT, OTHER)


# once, in order


async def test_the_first_arrival_of_an_id_counts_whatever_comes_later(office: Office) -> None:
    await office.arrives(change_plan("one", Plan.PRO))
    await office.arrives(change_plan("one", Plan.ULTIMATE))
    await office.settled()
    await office.arrives_raw("ChangePlan", json.dumps({"command_id": "one", "account_id": ACCOUNT}).encode())
    await office.arrives(change_plan("one", Plan.FREE, account_id=OTHER))
    await office.settled()

    assert await office.world.sql("SELECT account_id, plan FROM accounts ORDER BY 1") == [
        (ACCOUNT, "pro"),
        (OTHER, "free"),
    ]
    assert [one.message.account_id for one in office.told()] == [ACCOUNT, OTHER]


async def test_a_replay_of_all_commands_changes_and_tells_nothing(office: Office) -> None:
    integration_id = await office.connected()
    commands: list[Command] = [
        rename("one", integration_id, "Research"),
        rename("two", integration_id, "Production"),
        office.add("three"),
    ]
    await office.arrives(*commands)
    await office.settled()
    before = await office.rows(), len(office.told()), len(office.asked)

    await office.arrives(*commands, *reversed(commands))
    await office.settled()

    assert (await office.rows(), len(office.told()), len(office.asked)) == before
    assert before[0][0]["label"] == "Production"


WISHES = st.one_of(
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


def wished(office: Office, name: str, account_id: str, wish: tuple[Any, ...], known: Sequence[Any]) -> Command:
    what, number, *how = wish
    to = {"account_id": account_id}
    match what:
        case "add":
            elsewhere = {"sealed_key": office.sealed("good", "elsewhere")} if how[0] == "elsewhere" else {}
            return office.add(name, how[0], team_id=f"team-{number}", plan=how[1], **to, **elsewhere)
        case "replace":
            elsewhere = {"sealed_key": office.sealed("good", "elsewhere")} if how[0] == "elsewhere" else {}
            return office.replace(name, known[number], how[0], **to, **elsewhere)
        case "rename":
            return rename(name, known[number], how[0], **to)
        case "plan":
            return change_plan(name, how[0], **to)
        case "remove":
            return remove(name, known[number], how[0], **to)
        case _:
            return change_plan(name, Plan.PRO, expires_at=datetime.now(UTC) - timedelta(hours=1), **to)


async def begun(office: Office) -> list[Any]:
    """Two integrations of one account and one of another, and nothing else."""
    await office.world.sql("TRUNCATE accounts, integrations, syncs, account_events, commands")
    added = [
        office.add(f"begin-{number}", team_id=f"team-{number}", account_id=ACCOUNTS[number // 2]) for number in range(3)
    ]
    await office.arrives(*added)
    await office.settled()
    known = [office.result(one.command_id).integration_id for one in added]
    office.world.publisher.published.clear()
    return known


async def outcome(office: Office) -> dict[str, Any]:
    """All that is left, without what chance and clocks decide."""
    found = await office.world.sql(
        """SELECT i.account_id, team_id, label, plan, status, history, version, credential_version, envelope, integration_id
           FROM integrations i JOIN accounts USING (account_id) ORDER BY i.account_id, team_id, added_at"""
    )
    keys = [
        row.envelope
        and office.world.opener.open(row.envelope, Binding(row.account_id, row.integration_id, row.credential_version))
        for row in found
    ]
    told = sorted(
        (one.message.account_id, one.message.command_id, office.code(one.message.command_id) or "")
        for one in office.told()
    )
    return {"integrations": [tuple(row)[:8] for row in found], "keys": keys, "told": told}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wishes=st.lists(st.tuples(st.sampled_from(ACCOUNTS), WISHES), min_size=1, max_size=6), data=st.data())
async def test_commands_that_come_five_times_in_any_order_do_what_they_do_once(
    office: Office, wishes: list[tuple[str, tuple[Any, ...]]], data: st.DataObject
) -> None:
    arrivals = data.draw(st.permutations([*range(len(wishes))] * 5))

    known = await begun(office)
    commands = [wished(office, f"c{number}", *wish, known) for number, wish in enumerate(wishes)]
    await office.arrives(*(commands[number] for number in dict.fromkeys(arrivals)))
    await office.settled()
    once = await outcome(office)

    known = await begun(office)
    commands = [wished(office, f"c{number}", *wish, known) for number, wish in enumerate(wishes)]
    second = office.process("second")
    async with office.first.working(), second.working():
        for count, number in enumerate(arrivals):
            await office.arrives(commands[number], process=(office.first, second)[count % 2])
        await office.ended()

    assert await outcome(office) == once
    assert len(once["told"]) == len(wishes)
