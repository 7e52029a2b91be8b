"""A customer connects a team: the key is tested, the history is filled in, the figures are xAI's."""

import uuid
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from simulator.teams import DEMO_KEY, DEMO_TEAM, INFERENCE_KEY, NO_SCOPE_KEY, REVOKED_KEY, UNKNOWN_TEAM

from tests.support.system import SystemClient
from tests.support.xai import Team


@pytest.mark.parametrize(("plan", "days"), [("free", 30), ("pro", 90)])
async def test_a_connected_teams_history_is_in_postgres_digit_for_digit(
    client: SystemClient, plan: str, days: int
) -> None:
    team, integration_id = await client.connected_team(plan)
    windows = [one for one in await client.syncs(team, integration_id) if one["trigger"] == "backfill"]
    first = date.fromisoformat(min(one["first_day"] for one in windows))
    last = date.fromisoformat(max(one["last_day"] for one in windows))

    assert (last - first).days + 1 == days
    assert await client.shown(team, first, last) == await client.served(team, first, last)
    for day in await client.costs(team, first, last):
        assert day["covered"], day
        assert Decimal(day["usd"]) == sum((Decimal(one["usd"]) for one in day["models"]), Decimal(0))


async def test_a_day_before_the_history_is_unknown_and_not_zero(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    first = min(date.fromisoformat(one["first_day"]) for one in await client.syncs(team, integration_id))

    (day,) = await client.costs(team, first - timedelta(days=1), first - timedelta(days=1))

    assert (day["covered"], day["usd"], day["models"]) == (False, None, [])


async def test_the_card_of_a_filled_in_integration_is_active(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()

    card = await client.card(team, integration_id)

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
async def test_the_connection_test_names_the_cause(client: SystemClient, team_id: str, key: str, code: str) -> None:
    body = {"team_id": team_id, "management_key": key}

    answer = await client.request("POST", "/accounts/testing/integrations/test", body)

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
async def test_an_outage_of_xai_is_not_the_keys_fault(client: SystemClient, fault: dict[str, Any], code: str) -> None:
    team = await client.team()
    await client.fail(team, **fault)
    body = team.credentials()

    answer = await client.request("POST", f"{team.integrations}/test", body)

    assert answer.json()["code"] == code, answer.text


async def test_a_good_key_passes_the_test(client: SystemClient) -> None:
    body = {"team_id": DEMO_TEAM, "management_key": DEMO_KEY}

    answer = await client.request("POST", "/accounts/testing/integrations/test", body)

    assert answer.json()["ok"] is True


async def test_nothing_is_saved_when_the_test_fails(client: SystemClient) -> None:
    team = await client.team()
    await client.revoke(team)
    body = team.credentials() | {"plan": "free"}

    answer = await client.request("POST", team.integrations, body)

    assert (answer.status_code, answer.json()["code"]) == (422, "key_refused")
    listed = await client.request("GET", team.integrations)
    assert listed.json() == {"integrations": []}


async def test_a_team_is_connected_once_by_an_account(client: SystemClient) -> None:
    team = await client.team()
    integration_id = await client.add(team)
    body = team.credentials() | {"plan": "free"}

    answer = await client.request("POST", team.integrations, body)

    assert (answer.status_code, answer.json()["code"]) == (409, "already_connected")
    assert answer.json()["integration_id"] == integration_id


async def test_another_accounts_integration_is_not_there(client: SystemClient) -> None:
    team = await client.team()
    integration_id = await client.add(team)
    stranger = Team(team.team_id, team.key, f"account-{uuid.uuid4().hex[:12]}")

    answer = await client.request("GET", f"/accounts/{stranger.account_id}/integrations/{integration_id}")

    assert answer.status_code == 404


async def test_a_team_of_which_xai_refuses_old_days_is_active_with_what_there_is(client: SystemClient) -> None:
    team = await client.team()
    await client.play(team, "old_ranges_refused")
    integration_id = await client.add(team, "pro")

    card = await client.card_with(team, integration_id, "active")

    since, last = date.fromisoformat(card["figures_since"]), date.fromisoformat(card["backfill"]["last_day"])
    assert (last - since).days == 44
    assert (card["status_code"], card["history_from"]) == (None, str(since))
    shown = await client.costs(team, since, last)
    assert all(day["usd"] is not None for day in shown)
    assert len(await client.calls(team)) < 25
