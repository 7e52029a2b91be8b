"""What happens to an integration while it is at work: replaced, removed, brought back, put on another plan."""

import uuid
from dataclasses import replace
from datetime import date
from typing import Any

from tests.support.system import SystemClient, Team
from tests.support.waiting import until

SLOW = 300
"""Milliseconds of one answer of xAI: long enough for a change to fall into the middle of a backfill."""


async def _team_with_two_keys(world: SystemClient, **options: Any) -> tuple[Team, Team]:
    """A team, as it is connected with its former key, and with its new one."""
    former, new = (f"fake-key-{uuid.uuid4().hex}" for _ in range(2))
    keys = [{"key": former, "name": "former"}, {"key": new, "name": "new"}]
    team = await world.team(keys=keys, **options)
    return replace(team, key=former), replace(team, key=new)


async def _replace(world: SystemClient, team: Team, integration_id: str) -> None:
    path = f"/accounts/{team.account_id}/integrations/{integration_id}/credential"
    answer = await world.request("PUT", path, {"management_key": team.key})
    assert answer.status_code == 200, answer.text


async def _keys_used(world: SystemClient, team: Team) -> list[str]:
    return [str(call["key"]) for call in await world.calls(team)]


async def _keys_of_windows(world: SystemClient, team: Team) -> list[str]:
    """Without those of connection tests, which ask for yesterday and today."""
    spans = [
        (call, date.fromisoformat(call["last_day"]) - date.fromisoformat(call["first_day"]))
        for call in await world.calls(team)
    ]
    return [str(call["key"]) for call, span in spans if span.days > 1]


async def _is_whole(world: SystemClient, team: Team, integration_id: str) -> None:
    """Every day of the history is there, digit for digit as xAI says it, and every request ended once."""
    backfill = (await world.card(team, integration_id))["backfill"]
    first, last = (date.fromisoformat(backfill[name]) for name in ("first_day", "last_day"))
    assert await world.shown(team, first, last) == await world.served(team, first, last)
    assert all(day["covered"] for day in await world.costs(team, first, last))
    final = [one for one in await world.syncs(team, integration_id) if one["final"] and one["request_ids"]]
    requests = [request_id for one in final for request_id in one["request_ids"]]
    assert len(requests) == len(set(requests))


async def test_a_key_that_is_replaced_in_mid_backfill_loses_no_day(world: SystemClient) -> None:
    team, renewed = await _team_with_two_keys(world, delay_ms=SLOW)
    integration_id = await world.add(team, "ultimate")
    await until(lambda: _keys_used(world, team), lambda used: len(used) > 1)

    await _replace(world, renewed, integration_id)

    await world.backfilled(team, integration_id)
    used = await _keys_of_windows(world, team)
    assert used == sorted(used), "once the new key is at work, the former one is not used again"
    assert {"former", "new"} == set(used)
    await _is_whole(world, team, integration_id)


async def test_a_refused_integration_goes_back_to_work_with_another_key(world: SystemClient) -> None:
    team, renewed = await _team_with_two_keys(world)
    integration_id = await world.connect(team)
    await world.control("POST", "/keys/revoke", {"key": team.key})
    await world.force(team, integration_id)
    refused = await until(lambda: world.card(team, integration_id), lambda card: card["status"] == "error")
    assert refused["status_code"] == "key_refused"

    await _replace(world, renewed, integration_id)

    assert (await world.card(team, integration_id))["status"] == "active"
    version = refused["credential_version"] + 1
    done = await world.ended(team, integration_id, f"credential:{integration_id}:{version}")
    assert (done["code"], done["reconciled"]) == (None, True)
    assert (await _keys_used(world, team))[-1] == "new"


async def test_a_team_that_is_removed_and_comes_back_in_mid_backfill_is_filled_in(world: SystemClient) -> None:
    team = await world.team(delay_ms=SLOW)
    integration_id = await world.add(team, "ultimate")
    await until(lambda: _keys_used(world, team), lambda used: len(used) > 1)

    answer = await world.request("DELETE", f"/accounts/{team.account_id}/integrations/{integration_id}")
    assert answer.status_code == 204
    again = await world.add(team, "ultimate")

    assert again == integration_id
    await world.backfilled(team, integration_id)
    await _is_whole(world, team, integration_id)


async def test_a_removed_integration_is_asked_about_no_more(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.request("DELETE", f"/accounts/{team.account_id}/integrations/{integration_id}")
    await until(
        lambda: world.rows("SELECT removed FROM syncer.integrations WHERE integration_id = %s", integration_id),
        lambda rows: rows == [(True,)],
    )
    asked = len(await world.calls(team))

    await world.ask(integration_id, "late-wish")

    await until(
        lambda: world.rows(
            "SELECT 1 FROM syncer.windows w JOIN syncer.requests r USING (window_id) "
            "WHERE r.request_id = 'late-wish' AND r.integration_id = %s AND w.closed_at IS NOT NULL",
            integration_id,
        ),
        bool,
    )
    assert len(await world.calls(team)) == asked
    assert await world.rows("SELECT 1 FROM syncer.credentials WHERE integration_id = %s", integration_id) == []


async def test_a_larger_plan_fills_in_what_it_adds(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)

    answer = await world.request("PUT", f"/accounts/{team.account_id}/plan", {"plan": "pro"})

    assert answer.status_code == 200
    grown = await until(lambda: world.card(team, integration_id), lambda card: card["status"] == "active")
    assert grown["backfill"]["days_read"] == grown["backfill"]["days_expected"] == 90
    await _is_whole(world, team, integration_id)
