"""Changes to an integration while it is read: its key is replaced, it is removed, added again, put on another plan."""

import uuid
from dataclasses import replace
from datetime import date
from typing import Any

from tests.support.system import SystemClient
from tests.support.waiting import until
from tests.support.xai import Team

SLOW = 300
"""Milliseconds of one answer of xAI: long enough for a change to fall into the middle of a backfill."""


async def _team_with_two_keys(client: SystemClient, **options: Any) -> tuple[Team, Team]:
    """A team, as it is connected with its former key, and with its new one."""
    former, new = (f"fake-key-{uuid.uuid4().hex}" for _ in range(2))
    keys = [{"key": former, "name": "former"}, {"key": new, "name": "new"}]
    team = await client.team(keys=keys, **options)
    return replace(team, key=former), replace(team, key=new)


async def _replace(client: SystemClient, team: Team, integration_id: str) -> None:
    path = f"{team.path(integration_id)}/credential"
    answer = await client.request("PUT", path, {"management_key": team.key})
    assert answer.status_code == 200, answer.text


async def _keys_used(client: SystemClient, team: Team) -> list[str]:
    return [str(call["key"]) for call in await client.calls(team)]


async def _keys_of_windows(client: SystemClient, team: Team) -> list[str]:
    """Without those of connection tests, which ask for yesterday and today."""
    spans = [
        (call, date.fromisoformat(call["last_day"]) - date.fromisoformat(call["first_day"]))
        for call in await client.calls(team)
    ]
    return [str(call["key"]) for call, span in spans if span.days > 1]


async def _is_whole(client: SystemClient, team: Team, integration_id: str) -> None:
    """Every day of the history is there, digit for digit as xAI reports it, and every request ended once."""
    backfill = (await client.card(team, integration_id))["backfill"]
    first, last = (date.fromisoformat(backfill[name]) for name in ("first_day", "last_day"))
    assert await client.shown(team, first, last) == await client.served(team, first, last)
    assert all(day["covered"] for day in await client.costs(team, first, last))
    final = [one for one in await client.syncs(team, integration_id) if one["final"] and one["request_ids"]]
    requests = [request_id for one in final for request_id in one["request_ids"]]
    assert len(requests) == len(set(requests))


async def test_a_key_that_is_replaced_in_mid_backfill_loses_no_day(client: SystemClient) -> None:
    team, renewed = await _team_with_two_keys(client, delay_ms=SLOW)
    integration_id = await client.add(team, "ultimate")
    await until(lambda: _keys_used(client, team), lambda used: len(used) > 1)

    await _replace(client, renewed, integration_id)

    await client.backfilled(team, integration_id)
    used = await _keys_of_windows(client, team)
    assert used == sorted(used), "once the new key is at work, the former one is not used again"
    assert {"former", "new"} == set(used)
    await _is_whole(client, team, integration_id)


async def test_a_refused_integration_is_active_again_with_another_key(client: SystemClient) -> None:
    team, renewed = await _team_with_two_keys(client)
    integration_id = await client.connect(team)
    await client.revoke(team)
    await client.force_until_refused(team, integration_id)
    refused = await client.card_with(team, integration_id, "error")
    assert refused["status_code"] == "key_refused"

    await _replace(client, renewed, integration_id)

    assert (await client.card(team, integration_id))["status"] == "active"
    version = refused["credential_version"] + 1
    done = await client.ended(team, integration_id, f"credential:{integration_id}:{version}")
    assert (done["code"], done["reconciled"]) == (None, True)
    assert (await _keys_used(client, team))[-1] == "new"


async def test_a_team_that_is_removed_and_added_again_in_mid_backfill_is_filled_in(client: SystemClient) -> None:
    team = await client.team(delay_ms=SLOW)
    integration_id = await client.add(team, "ultimate")
    await until(lambda: _keys_used(client, team), lambda used: len(used) > 1)

    await client.remove(team, integration_id)
    again = await client.add(team, "ultimate")

    assert again == integration_id
    await client.backfilled(team, integration_id)
    await _is_whole(client, team, integration_id)


async def test_a_removed_integration_makes_no_call(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    await client.remove(team, integration_id)
    await client.row_is_there("SELECT 1 FROM syncer.integrations WHERE integration_id = %s AND removed", integration_id)
    asked = len(await client.calls(team))

    await client.ask(integration_id, "late-request")

    await client.row_is_there(
        "SELECT 1 FROM syncer.windows w JOIN syncer.requests r USING (window_id) "
        "WHERE r.request_id = 'late-request' AND r.integration_id = %s AND w.closed_at IS NOT NULL",
        integration_id,
    )
    assert len(await client.calls(team)) == asked
    assert await client.rows("SELECT 1 FROM syncer.credentials WHERE integration_id = %s", integration_id) == []


async def test_a_larger_plan_fills_in_what_it_adds(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()

    answer = await client.request("PUT", f"/accounts/{team.account_id}/plan", {"plan": "pro"})

    assert answer.status_code == 200
    grown = await client.card_with(team, integration_id, "active")
    assert grown["backfill"]["days_read"] == grown["backfill"]["days_expected"] == 90
    await _is_whole(client, team, integration_id)
