"""Every change of an integration, from the first to the last."""

from typing import Any
from uuid import UUID

import pytest
from common.crypto.envelopes import Binding
from contract.problems import Code

from tests.connector.support.connector import KEY, TEAM, ConnectorHarness, path_of, team_of
from tests.support.messages import ACCOUNT

OTHER_KEY = "another-obviously-fake-key"
REFUSAL = '{"message": "the key is unknown"}'
ADD = {"team_id": TEAM, "management_key": KEY, "plan": "free"}


async def _replace(connector: ConnectorHarness, card: dict[str, Any], key: str = OTHER_KEY) -> Any:
    return await connector.call("PUT", path_of(card, "/credential"), {"management_key": key})


async def _key(connector: ConnectorHarness, card: dict[str, Any], version: int) -> str:
    [(envelope,)] = await connector.sql("SELECT envelope FROM integrations")
    return connector.opener.open(envelope, Binding(ACCOUNT, UUID(card["integration_id"]), version))


# add


async def test_the_key_is_stored_sealed_only(connector: ConnectorHarness) -> None:
    card = await connector.add()

    ((row,),) = await connector.sql("SELECT integrations::text FROM integrations")
    assert KEY not in row
    assert await _key(connector, card, 1) == KEY


async def test_a_failed_test_stores_nothing(connector: ConnectorHarness) -> None:
    connector.status, connector.body = 401, REFUSAL

    problem = await connector.call("POST", "/integrations", ADD, status=422)

    assert problem["code"] == "key_refused"
    assert KEY not in str(problem)
    assert await connector.sql("SELECT 1 FROM integrations") == []


async def test_a_team_is_connected_once(connector: ConnectorHarness) -> None:
    card = await connector.add()
    calls = len(connector.xai_requests)

    problem = await connector.call("POST", "/integrations", ADD, status=409)

    assert (problem["code"], problem["integration_id"]) == ("already_connected", card["integration_id"])
    assert len(connector.xai_requests) == calls


WRITTEN = [TEAM.upper(), TEAM.replace("-", ""), f"{{{TEAM.upper()}}}", f"urn:uuid:{TEAM}"]
"""The same team in other forms."""


@pytest.mark.parametrize("text", WRITTEN)
async def test_a_team_is_connected_once_however_its_id_is_written(connector: ConnectorHarness, text: str) -> None:
    card = await connector.add(team_id=text)
    assert card["team_id"] == TEAM
    assert str(connector.xai_requests[-1].url) == f"https://xai.test/v1/billing/teams/{TEAM}/usage"

    for written in (TEAM, *WRITTEN):
        problem = await connector.call("POST", "/integrations", ADD | {"team_id": written}, status=409)
        assert (problem["code"], problem["integration_id"]) == ("already_connected", card["integration_id"])


@pytest.mark.parametrize("history", ["keep", "erase"])
async def test_a_team_comes_back_however_its_id_is_written(connector: ConnectorHarness, history: str) -> None:
    card = await connector.add()
    await connector.remove(card, history)

    again = await connector.add(team_id=TEAM.upper())

    assert (again["integration_id"] == card["integration_id"]) is (history == "keep")
    assert again["team_id"] == TEAM


async def _duplicate(connector: ConnectorHarness) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two integrations of one team, as the migration leaves those of a former version."""
    first, second = await connector.add(), await connector.add(team_id=team_of("second"))
    await connector.sql(
        """UPDATE integrations SET team_id = :text, duplicate_of = :first, status = 'error', version = version + 1,
               status_code = 'already_connected' WHERE integration_id = :second""",
        text=TEAM.upper(),
        first=first["integration_id"],
        second=second["integration_id"],
    )
    return first, second


async def test_a_second_integration_of_a_team_makes_no_calls_and_shows_the_reason(connector: ConnectorHarness) -> None:
    first, second = await _duplicate(connector)
    calls = len(connector.xai_requests)

    for method, path, body in (("PUT", "/credential", {"management_key": KEY}), ("POST", "/sync", {})):
        problem = await connector.call(method, path_of(second, path), body, status=409)
        assert (problem["code"], problem["integration_id"]) == ("already_connected", first["integration_id"])
    await connector.completed(second)
    await connector.failed(second, Code.KEY_REFUSED, hours=1)

    card = await connector.card(second)
    assert (card["status"], card["status_code"], card["next_sync"]) == ("error", "already_connected", None)
    assert "a team is counted once" in card["status_detail"]
    assert (len(connector.xai_requests), connector.publisher.of("xai.sync-requests.v1")) == (calls, [])


async def test_a_second_integration_of_a_team_stays_out_of_the_sums_when_it_is_removed(
    connector: ConnectorHarness,
) -> None:
    _, second = await _duplicate(connector)

    await connector.remove(second)

    [removed] = [
        card
        for card in (await connector.call("GET", "/integrations?removed=true"))["integrations"]
        if card["integration_id"] == second["integration_id"]
    ]
    assert (removed["status"], removed["status_code"]) == ("removed", "already_connected")


async def test_a_team_comes_back_as_the_one_that_was_counted(connector: ConnectorHarness) -> None:
    first, second = await _duplicate(connector)
    await connector.remove(first)
    await connector.remove(second)

    again = await connector.add(team_id=TEAM.upper())

    assert (again["integration_id"], again["status"]) == (first["integration_id"], "backfilling")


async def test_default_labels_differ(connector: ConnectorHarness) -> None:
    cards = [await connector.add(team_id=f"{TEAM[:-1]}{number}") for number in range(2)]

    assert [card["label"] for card in cards] == [f"xAI team {TEAM[:8]}", f"xAI team {TEAM[:8]} (2)"]


# replace the key, rename


async def test_another_key_replaces_the_former_one(connector: ConnectorHarness) -> None:
    card = await connector.add()

    replaced = await _replace(connector, card)

    assert await _key(connector, card, 2) == OTHER_KEY
    assert connector.xai_requests[-1].headers["authorization"] == f"Bearer {OTHER_KEY}"
    changed = {"version": 2, "credential_version": 2, "changed_at": replaced["changed_at"]}
    assert replaced == card | changed


@pytest.mark.parametrize(("key", "code"), [(OTHER_KEY, "key_refused"), ("two words", "key_malformed")])
async def test_a_key_that_fails_its_test_replaces_nothing(connector: ConnectorHarness, key: str, code: str) -> None:
    card = await connector.add()
    connector.status, connector.body = 401, REFUSAL

    problem = await connector.call("PUT", path_of(card, "/credential"), {"management_key": key}, status=422)

    assert problem["code"] == code
    assert await _key(connector, card, 1) == KEY
    assert (await connector.card(card))["version"] == 1


async def test_another_key_clears_an_error_of_the_former_one(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)
    await connector.failed(card, Code.KEY_REFUSED, hours=1)
    assert await connector.health(card) == ("error", "key_refused")

    replaced = await _replace(connector, card)

    assert (replaced["status"], replaced["status_code"]) == ("active", None)
    assert replaced["backfill"]["days_read"] == replaced["backfill"]["days_expected"]


async def test_a_late_refusal_of_the_former_key_does_not_count_against_the_new_one(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)
    await _replace(connector, card)

    await connector.failed(card, Code.KEY_REFUSED, hours=1, credential_version=1)
    assert (await connector.health(card))[0] == "active"

    await connector.failed(card, Code.KEY_REFUSED, hours=2, credential_version=2)
    assert (await connector.health(card))[0] == "error"


async def test_a_label_that_is_set_twice_is_one_version(connector: ConnectorHarness) -> None:
    card = await connector.add()

    for _ in range(2):
        renamed = await connector.call("PATCH", path_of(card), {"label": "Research"})
        assert (renamed["label"], renamed["version"]) == ("Research", 2)


# change the plan


async def _plan(connector: ConnectorHarness, plan: str) -> None:
    assert await connector.call("PUT", "/plan", {"plan": plan}) == {"plan": plan}


async def test_a_larger_plan_fills_in_more_history(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)

    await _plan(connector, "pro")

    grown = await connector.card(card)
    assert (grown["plan"], grown["status"], grown["version"]) == ("pro", "backfilling", 3)
    assert grown["history_from"] < card["history_from"]
    assert grown["backfill"]["days_read"] == card["backfill"]["days_expected"] == 30
    assert grown["backfill"]["days_expected"] == 90


async def test_a_smaller_plan_hides_nothing_that_was_read(connector: ConnectorHarness) -> None:
    card = await connector.add(plan="pro")
    await connector.completed(card)

    await _plan(connector, "free")

    shrunk = await connector.card(card)
    assert (shrunk["plan"], shrunk["status"]) == ("free", "active")
    assert (shrunk["history_from"], shrunk["backfill"]) == (card["history_from"], card["backfill"] | {"days_read": 90})


async def test_the_same_plan_again_is_no_new_version(connector: ConnectorHarness) -> None:
    card = await connector.add()

    await _plan(connector, "free")

    assert (await connector.card(card))["version"] == 1


async def test_a_plan_can_be_set_before_the_first_integration(connector: ConnectorHarness) -> None:
    await _plan(connector, "ultimate")

    assert await connector.sql("SELECT account_id, plan FROM accounts") == [(ACCOUNT, "ultimate")]


@pytest.mark.parametrize(("plan", "days"), [("pro", 90), (None, 30)])
async def test_without_a_plan_an_account_keeps_its_own_and_a_new_one_is_on_free(
    connector: ConnectorHarness, plan: str | None, days: int
) -> None:
    if plan:
        await _plan(connector, plan)

    card = await connector.add(plan=None)

    assert (card["plan"], card["backfill"]["days_expected"]) == (plan or "free", days)


async def test_the_plan_of_a_new_integration_is_that_of_all(connector: ConnectorHarness) -> None:
    first = await connector.add()
    await connector.add(team_id=team_of("another"), plan="ultimate")

    grown = await connector.card(first)

    assert (grown["plan"], grown["version"]) == ("ultimate", first["version"] + 1)
    assert grown["history_from"] < first["history_from"]
    assert grown["backfill"] == {**first["backfill"], "first_day": grown["history_from"], "days_expected": 90}


# remove


async def test_removal_deletes_the_key(connector: ConnectorHarness) -> None:
    await connector.remove(await connector.add())

    assert await connector.sql("SELECT status, envelope, history FROM integrations") == [("removed", None, "keep")]


@pytest.mark.parametrize(("history", "kept"), [("keep", 1), ("erase", 0)])
async def test_an_erased_history_leaves_no_sums(connector: ConnectorHarness, history: str, kept: int) -> None:
    card = await connector.add()
    await connector.completed(card)
    await connector.remove(card, history)

    assert len(await connector.sql("SELECT 1 FROM syncs")) == kept
    await connector.completed(card, hours=1)
    assert len(await connector.sql("SELECT 1 FROM syncs")) == kept * 2


async def test_a_history_that_was_kept_can_be_erased_later(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)
    await connector.remove(card)
    [listed] = (await connector.call("GET", "/integrations?removed=true"))["integrations"]
    assert (listed["status"], listed["history"], listed["next_sync"]) == ("removed", "keep", None)

    await connector.remove(card, "erase")

    assert await connector.sql("SELECT history, version FROM integrations") == [("erase", 4)]
    assert await connector.sql("SELECT 1 FROM syncs") == []
    assert await connector.call("GET", "/integrations?removed=true") == {"integrations": []}
    await connector.call("DELETE", path_of(card, "?history=erase"), status=404)


@pytest.mark.parametrize(("history", "versions"), [("keep", (3, 2)), ("erase", (1, 1))])
async def test_a_team_that_is_added_again_continues_a_history_that_was_kept(
    connector: ConnectorHarness, history: str, versions: tuple[int, int]
) -> None:
    card = await connector.add()
    await connector.remove(card, history)

    again = await connector.add()

    assert (again["integration_id"] == card["integration_id"]) is (history == "keep")
    assert (again["version"], again["credential_version"]) == versions
