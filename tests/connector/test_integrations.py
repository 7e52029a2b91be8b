"""What can happen to an integration after it was added."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from common.crypto.envelopes import Binding
from contract.problems import Code

from tests.connector.support.connector import ACCOUNT, KEY, World

OTHER_KEY = "another-obviously-fake-key"


def _path(card: dict[str, Any], more: str = "") -> str:
    return f"/integrations/{card['integration_id']}{more}"


async def _replace(world: World, card: dict[str, Any], key: str = OTHER_KEY) -> dict[str, Any]:
    answer = await world.http.put(_path(card, "/credential"), json={"management_key": key})
    assert answer.status_code == 200, answer.text
    replaced: dict[str, Any] = answer.json()
    return replaced


async def _key(world: World, card: dict[str, Any], version: int) -> str:
    [(envelope,)] = await world.sql("SELECT envelope FROM integrations")
    return world.opener.open(envelope, Binding(ACCOUNT, UUID(card["integration_id"]), version))


async def test_another_key_takes_the_place_of_the_former_one(world: World) -> None:
    card = await world.add()

    replaced = await _replace(world, card)

    assert await _key(world, card, 2) == OTHER_KEY
    assert (replaced["version"], replaced["credential_version"]) == (2, 2)
    assert world.asked[-1].headers["authorization"] == f"Bearer {OTHER_KEY}"
    assert {**replaced, "version": 1, "credential_version": 1} | {"changed_at": card["changed_at"]} == card


async def test_a_key_that_fails_its_test_replaces_nothing(world: World) -> None:
    card = await world.add()
    world.status = 401

    answer = await world.http.put(_path(card, "/credential"), json={"management_key": OTHER_KEY})

    assert (answer.status_code, answer.json()["code"]) == (422, "key_refused")
    assert await _key(world, card, 1) == KEY
    assert (await world.card(card["integration_id"]))["version"] == 1


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "", "k" * 513])
async def test_what_cannot_be_a_key_is_refused_without_asking_xai(world: World, key: str) -> None:
    card = await world.add()
    asked = len(world.asked)

    answer = await world.http.put(_path(card, "/credential"), json={"management_key": key})

    assert (answer.status_code, answer.json()["code"]) == (422, "key_malformed")
    assert len(world.asked) == asked


async def test_an_integration_in_error_goes_back_to_work_with_another_key(world: World) -> None:
    card = await world.add()
    await world.completed(card)
    await world.failed(card, Code.KEY_REFUSED, hours=1)
    assert (await world.card(card["integration_id"]))["status"] == "error"

    replaced = await _replace(world, card)

    assert (replaced["status"], replaced["status_code"]) == ("active", None)
    assert replaced["backfill"]["days_read"] == replaced["backfill"]["days_expected"]


async def test_an_error_in_mid_backfill_goes_back_to_filling_in(world: World) -> None:
    card = await world.add()
    await world.failed(card, Code.ACCESS_DENIED)

    assert (await _replace(world, card))["status_text"] == "Filling in the history: 0 of 30 days"


async def test_a_late_refusal_of_the_former_key_does_not_mark_the_new_one(world: World) -> None:
    card = await world.add()
    await world.completed(card)
    await _replace(world, card)

    await world.failed(card, Code.KEY_REFUSED, hours=1, credential_version=1)
    assert (await world.card(card["integration_id"]))["status"] == "active"

    await world.failed(card, Code.KEY_REFUSED, hours=2, credential_version=2)
    assert (await world.card(card["integration_id"]))["status"] == "error"


async def test_keys_that_are_replaced_at_once_each_get_a_version(world: World) -> None:
    card = await world.add()

    await asyncio.gather(*(_replace(world, card, f"obviously-fake-{number}") for number in range(4)))

    shown = await world.card(card["integration_id"])
    assert (shown["version"], shown["credential_version"]) == (5, 5)
    assert (await _key(world, card, 5)).startswith("obviously-fake-")


async def test_a_new_name_is_announced_once(world: World) -> None:
    card = await world.add()

    for _ in range(2):
        answer = await world.http.patch(_path(card), json={"label": "Research"})
        assert (answer.status_code, answer.json()["label"], answer.json()["version"]) == (200, "Research", 2)


async def _plan(world: World, plan: str) -> None:
    answer = await world.http.put("/plan", json={"plan": plan})
    assert (answer.status_code, answer.json()) == (200, {"plan": plan})


async def test_a_larger_plan_fills_in_more_history(world: World) -> None:
    card = await world.add()
    await world.completed(card)

    await _plan(world, "pro")

    grown = await world.card(card["integration_id"])
    assert (grown["plan"], grown["status"], grown["version"]) == ("pro", "backfilling", 3)
    assert grown["history_from"] < card["history_from"]
    assert grown["backfill"]["days_read"] == card["backfill"]["days_expected"] == 30
    assert grown["backfill"]["days_expected"] == 90


async def test_a_smaller_plan_hides_nothing_that_was_kept(world: World) -> None:
    card = await world.add(plan="pro")
    await world.completed(card)

    await _plan(world, "free")

    shrunk = await world.card(card["integration_id"])
    assert (shrunk["plan"], shrunk["status"]) == ("free", "active")
    assert (shrunk["history_from"], shrunk["backfill"]) == (card["history_from"], card["backfill"] | {"days_read": 90})


async def test_a_plan_that_is_there_already_announces_nothing(world: World) -> None:
    card = await world.add()

    await _plan(world, "free")

    assert (await world.card(card["integration_id"]))["version"] == 1


async def test_a_plan_can_come_before_the_first_integration(world: World) -> None:
    await _plan(world, "ultimate")

    assert await world.sql("SELECT account_id, plan FROM accounts") == [(ACCOUNT, "ultimate")]


async def test_a_history_that_was_kept_can_be_erased_later(world: World) -> None:
    card = await world.add()
    await world.completed(card)
    await world.http.delete(_path(card))
    [listed] = (await world.http.get("/integrations?removed=true")).json()["integrations"]
    assert (listed["status"], listed["history"], listed["next_sync"]) == ("removed", "keep", None)

    answer = await world.http.delete(_path(card, "?history=erase"))

    assert answer.status_code == 204
    assert await world.sql("SELECT history, version FROM integrations") == [("erase", 4)]
    assert await world.sql("SELECT 1 FROM syncs") == []
    assert (await world.http.get("/integrations?removed=true")).json() == {"integrations": []}
    assert (await world.http.delete(_path(card, "?history=erase"))).status_code == 404


@pytest.mark.parametrize(
    ("method", "more", "body"),
    [
        ("PUT", "/credential", {"management_key": OTHER_KEY}),
        ("PATCH", "", {"label": "Mine now"}),
        ("DELETE", "?history=erase", None),
    ],
)
async def test_what_is_removed_or_anothers_cannot_be_changed(
    world: World, method: str, more: str, body: dict[str, str] | None
) -> None:
    card = await world.add()
    foreign = f"/v1/accounts/account-2{_path(card, more)}"
    asked = len(world.asked)

    assert (await world.http.request(method, str(world.http.base_url.join(foreign)), json=body)).status_code == 404
    await world.http.delete(_path(card, "?history=erase"))
    assert (await world.http.request(method, _path(card, more), json=body)).status_code == 404
    assert len(world.asked) == asked


async def test_a_team_without_use_is_no_error(world: World) -> None:
    card = await world.add()
    await world.completed(card, usd=0)

    shown = await world.card(card["integration_id"])

    days = f"{card['backfill']['first_day']} to {card['backfill']['last_day']}"
    assert (shown["status"], shown["status_detail"], shown["last_sync"]["text"]) == (
        "active",
        None,
        f"No use from {days}",
    )
    assert shown["data_as_of"] == shown["last_sync"]["at"]


@pytest.mark.parametrize(
    ("code", "next_step"),
    [
        (Code.KEY_REFUSED, "Create one"),
        (Code.XAI_UNAVAILABLE, "Nothing is wrong with the key"),
        (Code.ANSWER_UNREADABLE, "tell support"),
    ],
)
async def test_what_is_wrong_is_told_apart_with_the_next_step(world: World, code: Code, next_step: str) -> None:
    card = await world.add()
    await world.failed(card, code)

    shown = await world.card(card["integration_id"])

    assert (shown["status"], shown["status_code"]) == ("error", code.value)
    assert next_step in shown["status_detail"]
    assert shown["status_since"] > card["status_since"]
