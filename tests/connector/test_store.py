"""Changes at once wait for each other: nothing is lost, doubled or deadlocked."""

import asyncio
from typing import Any
from uuid import UUID

from common.crypto.envelopes import Binding

from tests.connector.support.connector import KEY, TEAM, ConnectorHarness, path_of, team_of
from tests.support.messages import ACCOUNT

ADD = {"team_id": TEAM, "management_key": KEY, "plan": "free"}


async def test_a_team_that_is_added_five_times_at_once_is_connected_once(connector: ConnectorHarness) -> None:
    answers = await asyncio.gather(*(connector.http.post("/integrations", json=ADD) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert len({answer.json()["integration_id"] for answer in answers}) == 1


async def test_keys_that_are_replaced_at_once_each_get_a_version(connector: ConnectorHarness) -> None:
    card = await connector.add()

    path = path_of(card, "/credential")
    keys = [{"management_key": f"obviously-fake-{number}"} for number in range(4)]
    await asyncio.gather(*(connector.call("PUT", path, key) for key in keys))

    shown = await connector.card(card)
    assert (shown["version"], shown["credential_version"]) == (5, 5)
    [(envelope,)] = await connector.sql("SELECT envelope FROM integrations")
    binding = Binding(ACCOUNT, UUID(card["integration_id"]), 5)
    assert connector.opener.open(envelope, binding).startswith("obviously-fake-")


async def test_plans_that_race_on_a_new_account_leave_one_plan_for_all(connector: ConnectorHarness) -> None:
    await asyncio.gather(
        connector.add(team_id=team_of("one"), plan="free"), connector.add(team_id=team_of("two"), plan="pro")
    )

    cards = (await connector.call("GET", "/integrations"))["integrations"]
    later, earlier = sorted(cards, key=lambda card: card["version"])
    assert (later["version"], earlier["version"]) == (1, 2)
    assert earlier["history_from"] <= later["history_from"]


async def test_additions_removals_and_outcomes_at_once_never_deadlock(connector: ConnectorHarness) -> None:
    cards = [await connector.add(team_id=team_of(f"team-{number}")) for number in range(3)]

    async def outcomes(card: dict[str, Any]) -> None:
        for number in range(15):
            await connector.completed(card, hours=number)

    async def add_and_remove(number: int) -> None:
        for plan in ("pro", "free") * 3:
            await connector.remove(await connector.add(team_id=team_of(f"guest-{number}"), plan=plan))

    await asyncio.gather(*map(outcomes, cards), *map(add_and_remove, range(3)))

    assert await connector.sql("SELECT last_event FROM accounts") == await connector.sql(
        "SELECT count(*) FROM account_events"
    )
