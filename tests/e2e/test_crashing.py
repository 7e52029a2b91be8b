"""Processes are killed in mid-work: nothing is lost, nothing counts twice."""

import signal
from datetime import date

import pytest

from tests.support.system import SystemClient
from tests.support.waiting import until
from tests.support.xai import Team


async def _figures_are_xais(client: SystemClient, team: Team, integration_id: str) -> None:
    windows = [one for one in await client.syncs(team, integration_id) if one["first_day"]]
    first = date.fromisoformat(min(one["first_day"] for one in windows))
    last = date.fromisoformat(max(one["last_day"] for one in windows))
    assert await client.shown(team, first, last) == await client.served(team, first, last)


@pytest.mark.parametrize("name", ["ledger", "syncer", "connector"])
async def test_a_service_killed_while_histories_are_filled_in_loses_nothing(client: SystemClient, name: str) -> None:
    teams = [await client.team() for _ in range(4)]
    integrations = [await client.add(team, "pro") for team in teams]

    await client.replaced(name, client.signal(name, signal.SIGKILL))

    await client.services_answer()
    for team, integration_id in zip(teams, integrations, strict=True):
        await client.backfilled(team, integration_id)
        await _figures_are_xais(client, team, integration_id)


async def test_a_ledger_killed_in_mid_batch_writes_the_batch_again(client: SystemClient) -> None:
    team = await client.team()
    async with client.locked("ledger.days"):
        integration_id = await client.add(team)
        await client.row_is_there(
            "SELECT 1 FROM pg_stat_activity WHERE usename = 'ledger' AND wait_event_type = 'Lock'"
        )
        killed = client.signal("ledger", signal.SIGKILL)

    await client.replaced("ledger", killed)
    await client.backfilled(team, integration_id)
    await _figures_are_xais(client, team, integration_id)


async def test_a_syncer_killed_while_xai_answers_asks_again(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    await client.fail(team, times=1, hang=True)
    calls = len(await client.calls(team))
    request_id = await client.request_sync(team, integration_id)
    await until(lambda: client.calls(team), lambda got: len(got) > calls)

    client.signal("syncer", signal.SIGKILL)

    done = await client.ended(team, integration_id, request_id)
    assert done["reconciled"] is True
    rows = [one for one in await client.syncs(team, integration_id) if request_id in one["request_ids"]]
    assert len(rows) == 1
