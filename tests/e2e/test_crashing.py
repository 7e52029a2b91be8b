"""Processes die in the middle of things: nothing is lost, nothing counts twice."""

import os
import signal
from datetime import date

import httpx
import pytest

from tests.support.system import Team, World, until


async def _figures_are_xais(world: World, team: Team, integration_id: str) -> None:
    windows = [one for one in await world.syncs(team, integration_id) if one["first_day"]]
    first = date.fromisoformat(min(one["first_day"] for one in windows))
    last = date.fromisoformat(max(one["last_day"] for one in windows))
    assert await world.shown(team, first, last) == await world.served(team, first, last)


def _kill(world: World, name: str) -> None:
    os.kill(world.system.address().pids[name], signal.SIGKILL)


async def _is_back(world: World, name: str, pid: int) -> None:
    async def current() -> int:
        return world.system.address().pids[name]

    await until(current, lambda got: got != pid)


@pytest.mark.parametrize("name", ["ledger", "syncer", "connector"])
async def test_a_service_killed_while_histories_are_filled_in_loses_nothing(world: World, name: str) -> None:
    teams = [await world.team() for _ in range(4)]
    integrations = [await world.add(team, "pro") for team in teams]
    pid = world.system.address().pids[name]

    _kill(world, name)
    await _is_back(world, name, pid)

    await until(lambda: _connector_answers(world), bool)
    for team, integration_id in zip(teams, integrations, strict=True):
        await world.backfilled(team, integration_id)
        await _figures_are_xais(world, team, integration_id)


async def test_a_ledger_killed_in_mid_batch_writes_the_batch_again(world: World) -> None:
    team = await world.team()
    pid = world.system.address().pids["ledger"]
    async with world.locked("ledger.days"):
        integration_id = await world.add(team)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'ledger' AND wait_event_type = 'Lock'"
        await until(lambda: world.rows(waiting), lambda got: got[0][0] > 0)
        _kill(world, "ledger")

    await _is_back(world, "ledger", pid)
    await world.backfilled(team, integration_id)
    await _figures_are_xais(world, team, integration_id)


async def test_a_syncer_killed_while_xai_answers_asks_again(world: World) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.control("POST", "/faults", {"team_id": team.team_id, "times": 1, "hang": True})
    calls = len(await world.calls(team))
    path = f"/accounts/{team.account_id}/integrations/{integration_id}/sync"
    request_id = (await world.request("POST", path, {})).json()["request_id"]
    await until(lambda: world.calls(team), lambda got: len(got) > calls)

    _kill(world, "syncer")

    done = await world.ended(team, integration_id, request_id)
    assert done["reconciled"] is True
    rows = [one for one in await world.syncs(team, integration_id) if request_id in one["request_ids"]]
    assert len(rows) == 1


async def _connector_answers(world: World) -> bool:
    try:
        return (await world.request("GET", "/accounts/anyone/integrations")).status_code == 200
    except httpx.TransportError:
        return False
