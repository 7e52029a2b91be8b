"""Processes die in the middle of things: nothing is lost, nothing counts twice."""

import signal
from datetime import date

import pytest

from tests.support.system import SystemClient, Team
from tests.support.waiting import until


async def _figures_are_xais(world: SystemClient, team: Team, integration_id: str) -> None:
    windows = [one for one in await world.syncs(team, integration_id) if one["first_day"]]
    first = date.fromisoformat(min(one["first_day"] for one in windows))
    last = date.fromisoformat(max(one["last_day"] for one in windows))
    assert await world.shown(team, first, last) == await world.served(team, first, last)


@pytest.mark.parametrize("name", ["ledger", "syncer", "connector"])
async def test_a_service_killed_while_histories_are_filled_in_loses_nothing(world: SystemClient, name: str) -> None:
    teams = [await world.team() for _ in range(4)]
    integrations = [await world.add(team, "pro") for team in teams]

    await world.replaced(name, world.signal(name, signal.SIGKILL))

    await world.connector_answers()
    for team, integration_id in zip(teams, integrations, strict=True):
        await world.backfilled(team, integration_id)
        await _figures_are_xais(world, team, integration_id)


async def test_a_ledger_killed_in_mid_batch_writes_the_batch_again(world: SystemClient) -> None:
    team = await world.team()
    async with world.locked("ledger.days"):
        integration_id = await world.add(team)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'ledger' AND wait_event_type = 'Lock'"
        await until(lambda: world.rows(waiting), lambda got: got[0][0] > 0)
        killed = world.signal("ledger", signal.SIGKILL)

    await world.replaced("ledger", killed)
    await world.backfilled(team, integration_id)
    await _figures_are_xais(world, team, integration_id)


async def test_a_syncer_killed_while_xai_answers_asks_again(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.control("POST", "/faults", {"team_id": team.team_id, "times": 1, "hang": True})
    calls = len(await world.calls(team))
    path = f"/accounts/{team.account_id}/integrations/{integration_id}/sync"
    request_id = (await world.request("POST", path, {})).json()["request_id"]
    await until(lambda: world.calls(team), lambda got: len(got) > calls)

    world.signal("syncer", signal.SIGKILL)

    done = await world.ended(team, integration_id, request_id)
    assert done["reconciled"] is True
    rows = [one for one in await world.syncs(team, integration_id) if request_id in one["request_ids"]]
    assert len(rows) == 1
