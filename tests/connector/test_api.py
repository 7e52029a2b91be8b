"""What customers' web apps ask of the connector."""

import asyncio
from uuid import UUID, uuid4

import pytest
from common.crypto.envelopes import Binding

from tests.connector.support.connector import ACCOUNT, KEY, TEAM, World, usage


async def _test(world: World, **changes: str) -> dict[str, object]:
    body = {"team_id": TEAM, "management_key": KEY} | changes
    answer = await world.http.post("/integrations/test", json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, object] = answer.json()
    return told


async def test_a_connection_that_works_tells_what_was_used(world: World) -> None:
    world.body = usage(grok="1.5")

    told = await _test(world)

    assert (told["ok"], told["labels"]) == (True, ["grok"])


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "team_malformed"),
        (401, "key_refused"),
        (403, "access_denied"),
        (404, "team_unknown"),
        (429, "rate_limited"),
        (302, "xai_unavailable"),
        (500, "xai_unavailable"),
    ],
)
async def test_every_refusal_has_its_code_and_next_step(world: World, status: int, code: str) -> None:
    world.status = status

    told = await _test(world)

    assert (told["ok"], told["code"]) == (False, code)
    assert told["title"]
    assert told["detail"]


async def test_an_answer_that_is_not_the_documented_one_is_told_apart(world: World) -> None:
    world.body = '{"error": "no"}'

    assert (await _test(world))["code"] == "answer_unreadable"


async def test_how_long_to_wait_is_said(world: World) -> None:
    world.status, world.headers = 429, {"Retry-After": "17"}

    assert "17 seconds" in str((await _test(world))["detail"])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"team_id": "a/b"}, "team_malformed"),
        ({"team_id": ""}, "team_malformed"),
        ({"team_id": "a" * 65}, "team_malformed"),
        ({"team_id": "t#x"}, "team_malformed"),
        ({"management_key": "two words"}, "key_malformed"),
        ({"management_key": "line\nbreak"}, "key_malformed"),
        ({"management_key": "schlüssel"}, "key_malformed"),
        ({"management_key": "k" * 513}, "key_malformed"),
    ],
)
async def test_what_cannot_be_right_is_refused_without_asking_xai(
    world: World, changes: dict[str, str], code: str
) -> None:
    assert (await _test(world, **changes))["code"] == code
    assert world.asked == []


async def test_spaces_around_what_was_pasted_do_no_harm(world: World) -> None:
    assert (await _test(world, team_id=f" {TEAM}\n", management_key=f"{KEY} "))["ok"] is True


async def test_a_regular_key_gets_a_hint(world: World) -> None:
    world.status = 401

    assert "xai-" in str((await _test(world, management_key="xai-obviously-fake"))["hints"])


async def test_a_connected_team_is_filled_in_from_a_sealed_key(world: World) -> None:
    card = await world.add()

    assert (card["status"], card["plan"], card["label"]) == ("backfilling", "free", f"xAI team {TEAM[:8]}")
    assert (card["backfill"]["days_expected"], card["backfill"]["days_read"]) == (30, 0)
    ((envelope, row),) = await world.sql("SELECT envelope, integrations::text FROM integrations")
    assert KEY not in row
    place = Binding(ACCOUNT, UUID(card["integration_id"]), 1)
    assert world.opener.open(envelope, place) == KEY


async def test_a_failed_test_saves_nothing(world: World) -> None:
    world.status = 401
    body = {"team_id": TEAM, "management_key": KEY, "plan": "free"}

    answer = await world.http.post("/integrations", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "key_refused")
    assert KEY not in answer.text
    assert await world.sql("SELECT 1 FROM integrations") == []


async def test_a_team_is_connected_once(world: World) -> None:
    card = await world.add()
    asked = len(world.asked)

    answer = await world.http.post("/integrations", json={"team_id": TEAM, "management_key": KEY, "plan": "free"})

    assert (answer.status_code, answer.json()["code"]) == (409, "already_connected")
    assert answer.json()["integration_id"] == card["integration_id"]
    assert len(world.asked) == asked


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"team_id": "a\x00b"}, "team_malformed"), ({"management_key": "two words"}, "key_malformed")],
)
async def test_what_cannot_be_right_is_not_even_looked_up(world: World, changes: dict[str, str], code: str) -> None:
    answer = await world.http.post(
        "/integrations", json={"team_id": TEAM, "management_key": KEY, "plan": "free"} | changes
    )

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert world.asked == []


async def test_a_failed_test_says_how_long_to_wait(world: World) -> None:
    world.status, world.headers = 429, {"Retry-After": "17"}

    answer = await world.http.post("/integrations", json={"team_id": TEAM, "management_key": KEY, "plan": "free"})

    assert (answer.status_code, answer.json()["code"]) == (422, "rate_limited")
    assert answer.headers["retry-after"] == "17"


async def test_a_team_that_is_added_by_several_at_once_is_connected_once(world: World) -> None:
    body = {"team_id": TEAM, "management_key": KEY, "plan": "free"}

    answers = await asyncio.gather(*(world.http.post("/integrations", json=body) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert len({answer.json()["integration_id"] for answer in answers}) == 1


async def test_plans_that_race_on_a_new_account_leave_one_plan_for_all(world: World) -> None:
    await asyncio.gather(world.add(team_id="one", plan="free"), world.add(team_id="two", plan="pro"))

    cards = (await world.http.get("/integrations")).json()["integrations"]
    later, earlier = sorted(cards, key=lambda card: card["version"])
    assert (later["version"], earlier["version"]) == (1, 2)
    assert earlier["history_from"] <= later["history_from"]


@pytest.mark.parametrize(
    "body",
    [
        {"team_id": TEAM, "management_key": KEY, "plan": "gold"},
        {"team_id": TEAM, "management_key": [KEY], "plan": "free"},
        {"team_id": TEAM, "management_key": KEY},
        {"management_key": KEY, "plan": "free", "label": "\x07"},
    ],
)
async def test_a_malformed_request_is_named_and_never_echoes_the_key(world: World, body: dict[str, object]) -> None:
    answer = await world.http.post("/integrations", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "request_malformed")
    assert answer.json()["errors"]
    assert KEY not in answer.text


async def test_default_labels_differ(world: World) -> None:
    first = await world.add(team_id=TEAM[:8] + "-one")
    second = await world.add(team_id=TEAM[:8] + "-two")

    assert [first["label"], second["label"]] == [f"xAI team {TEAM[:8]}", f"xAI team {TEAM[:8]} (2)"]


async def test_the_accounts_plan_is_that_of_all_its_integrations(world: World) -> None:
    first = await world.add()
    await world.add(team_id="another", plan="ultimate")

    grown = await world.card(first["integration_id"])

    assert (grown["plan"], grown["version"]) == ("ultimate", first["version"] + 1)
    assert grown["history_from"] < first["history_from"]
    assert grown["backfill"] == {**first["backfill"], "first_day": grown["history_from"], "days_expected": 90}


async def test_a_removed_integration_is_gone_with_its_key(world: World) -> None:
    card = await world.add()

    answer = await world.http.delete(f"/integrations/{card['integration_id']}")

    assert answer.status_code == 204
    assert await world.sql("SELECT status, envelope, history FROM integrations") == [("removed", None, "keep")]
    assert (await world.http.get("/integrations")).json() == {"integrations": []}
    assert (await world.http.get(f"/integrations/{card['integration_id']}")).status_code == 404
    assert (await world.http.delete(f"/integrations/{card['integration_id']}")).status_code == 404


@pytest.mark.parametrize(("history", "kept"), [("keep", 1), ("erase", 0)])
async def test_an_erased_history_leaves_no_sums(world: World, history: str, kept: int) -> None:
    card = await world.add()
    await world.completed(card)
    await world.http.delete(f"/integrations/{card['integration_id']}?history={history}")

    assert len(await world.sql("SELECT 1 FROM syncs")) == kept
    await world.completed(card, hours=1)
    assert len(await world.sql("SELECT 1 FROM syncs")) == kept * 2


@pytest.mark.parametrize(("history", "same"), [("keep", True), ("erase", False)])
async def test_a_team_that_comes_back_rejoins_a_history_that_was_kept(world: World, history: str, same: bool) -> None:  # noqa: FBT001 - a parameter
    card = await world.add()
    await world.http.delete(f"/integrations/{card['integration_id']}?history={history}")

    again = await world.add()

    assert (again["integration_id"] == card["integration_id"]) is same
    assert (again["version"], again["credential_version"]) == ((3, 2) if same else (1, 1))


async def test_force_sync_is_accepted_when_the_broker_has_it(world: World) -> None:
    card = await world.add()

    answer = await world.http.post(f"/integrations/{card['integration_id']}/sync", json={"request_id": "mine"})

    assert (answer.status_code, answer.json()) == (202, {"request_id": "mine"})
    (published,) = world.publisher.of("xai.sync-requests.v1")
    assert (published.message.request_id, published.message.trigger) == ("mine", "force")
    assert published.key == card["integration_id"]


async def test_a_sync_without_wishes_is_a_force(world: World) -> None:
    card = await world.add()

    answer = await world.http.post(f"/integrations/{card['integration_id']}/sync")

    assert answer.status_code == 202
    (published,) = world.publisher.of("xai.sync-requests.v1")
    assert (published.message.request_id, published.message.trigger) == (answer.json()["request_id"], "force")


async def test_force_sync_is_refused_while_the_broker_is_away(world: World) -> None:
    card = await world.add()
    world.publisher.away = True

    answer = await world.http.post(f"/integrations/{card['integration_id']}/sync", json={})

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]


async def test_what_belongs_to_another_account_is_not_there(world: World) -> None:
    card = await world.add()
    other = f"http://connector/v1/accounts/other/integrations/{card['integration_id']}"

    answers = [
        await world.http.get(other),
        await world.http.delete(other),
        await world.http.post(f"{other}/sync", json={}),
        await world.http.get(f"{other}/syncs"),
        await world.http.get(f"/integrations/{uuid4()}"),
    ]

    assert [answer.status_code for answer in answers] == [404] * 5
    assert {answer.json()["code"] for answer in answers} == {"not_found"}


async def test_without_a_token_there_is_nothing(world: World) -> None:
    answer = await world.http.get("/integrations", headers={"Authorization": ""})

    assert (answer.status_code, answer.json()["code"]) == (401, "token_refused")
