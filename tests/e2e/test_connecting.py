"""A customer connects a team: the key is tested, the history is filled in, the figures are xAI's."""

import uuid
from datetime import date, timedelta
from decimal import Decimal

import pytest
from simulator.teams import DEMO_KEY, DEMO_TEAM, INFERENCE_KEY, NO_SCOPE_KEY, REVOKED_KEY, UNKNOWN_TEAM

from tests.support.system import SystemClient, Team


@pytest.mark.parametrize(("plan", "days"), [("free", 30), ("pro", 90)])
async def test_a_connected_teams_history_is_in_postgres_digit_for_digit(
    world: SystemClient, plan: str, days: int
) -> None:
    team = await world.team()
    integration_id = await world.connect(team, plan)
    windows = [one for one in await world.syncs(team, integration_id) if one["trigger"] == "backfill"]
    first = date.fromisoformat(min(one["first_day"] for one in windows))
    last = date.fromisoformat(max(one["last_day"] for one in windows))

    assert (last - first).days + 1 == days
    assert await world.shown(team, first, last) == await world.served(team, first, last)
    for day in await world.costs(team, first, last):
        assert day["covered"], day
        assert Decimal(day["usd"]) == sum((Decimal(one["usd"]) for one in day["models"]), Decimal(0))


async def test_a_day_before_the_history_is_unknown_and_not_zero(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    first = min(date.fromisoformat(one["first_day"]) for one in await world.syncs(team, integration_id))

    (day,) = await world.costs(team, first - timedelta(days=1), first - timedelta(days=1))

    assert (day["covered"], day["usd"], day["models"]) == (False, None, [])


async def test_the_card_of_a_filled_in_integration_is_active(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)

    card = await world.card(team, integration_id)

    assert card["status"] == "active"
    assert card["last_sync"] is not None
    assert team.key not in str(card)


@pytest.mark.parametrize(
    ("team_id", "key", "code"),
    [
        (DEMO_TEAM, REVOKED_KEY, "key_refused"),
        (DEMO_TEAM, INFERENCE_KEY, "key_refused"),
        (DEMO_TEAM, NO_SCOPE_KEY, "access_denied"),
        (UNKNOWN_TEAM, DEMO_KEY, "team_unknown"),
        ("not a team", DEMO_KEY, "team_malformed"),
        (DEMO_TEAM, "not a key\n", "key_malformed"),
    ],
)
async def test_the_connection_test_names_the_cause(world: SystemClient, team_id: str, key: str, code: str) -> None:
    body = {"team_id": team_id, "management_key": key}

    answer = await world.request("POST", "/accounts/testing/integrations/test", body)

    assert answer.status_code == 200
    assert answer.json()["ok"] is False
    assert answer.json()["code"] == code
    assert answer.json()["detail"]
    assert key not in answer.text


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"status": 429, "headers": {"Retry-After": "7"}}, "rate_limited"),
        ({"status": 503}, "xai_unavailable"),
        ({"redirect": "http://127.0.0.1:9/elsewhere"}, "xai_unavailable"),
        ({"reset": True}, "xai_unavailable"),
        ({"html": True}, "answer_unreadable"),
        ({"body": '{"error": {"message": "no"}}'}, "answer_unreadable"),
        ({"cut_after_bytes": 20}, "answer_unreadable"),
    ],
)
async def test_an_outage_of_xai_is_not_the_keys_fault(world: SystemClient, fault: dict[str, object], code: str) -> None:
    team = await world.team()
    await world.control("POST", "/faults", {"team_id": team.team_id, "times": None, **fault})
    body = {"team_id": team.team_id, "management_key": team.key}

    answer = await world.request("POST", f"/accounts/{team.account_id}/integrations/test", body)

    assert answer.json()["code"] == code, answer.text


async def test_a_good_key_passes_the_test(world: SystemClient) -> None:
    body = {"team_id": DEMO_TEAM, "management_key": DEMO_KEY}

    answer = await world.request("POST", "/accounts/testing/integrations/test", body)

    assert answer.json()["ok"] is True


async def test_nothing_is_saved_when_the_test_fails(world: SystemClient) -> None:
    team = await world.team()
    await world.control("POST", "/keys/revoke", {"key": team.key})
    body = {"team_id": team.team_id, "management_key": team.key, "plan": "free"}

    answer = await world.request("POST", f"/accounts/{team.account_id}/integrations", body)

    assert (answer.status_code, answer.json()["code"]) == (422, "key_refused")
    listed = await world.request("GET", f"/accounts/{team.account_id}/integrations")
    assert listed.json() == {"integrations": []}


async def test_a_team_is_connected_once_by_an_account(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.add(team)
    body = {"team_id": team.team_id, "management_key": team.key, "plan": "free"}

    answer = await world.request("POST", f"/accounts/{team.account_id}/integrations", body)

    assert (answer.status_code, answer.json()["code"]) == (409, "already_connected")
    assert answer.json()["integration_id"] == integration_id


async def test_another_accounts_integration_is_not_there(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.add(team)
    stranger = Team(team.team_id, team.key, f"account-{uuid.uuid4().hex[:12]}")

    answer = await world.request("GET", f"/accounts/{stranger.account_id}/integrations/{integration_id}")

    assert answer.status_code == 404
