"""Where xAI is odd, the figures are right or are not touched, and the reason has its own name."""

import json
from datetime import date
from typing import Any

import pytest

from tests.support.commands import in_process
from tests.support.system import SystemClient
from tests.support.waiting import until
from tests.support.xai import Team

REVISED = "SELECT 1 FROM ledger.day_revisions WHERE integration_id = %s::uuid"


async def _connected(client: SystemClient) -> tuple[Team, str, tuple[date, date]]:
    """A team that was read, and the days that a Force Sync reads."""
    team, integration_id = await client.connected_team()
    done = await client.force(team, integration_id)
    return team, integration_id, (date.fromisoformat(done["first_day"]), date.fromisoformat(done["last_day"]))


async def _failed(client: SystemClient, team: Team, integration_id: str) -> dict[str, Any]:
    """The first line of a Force Sync that does not succeed."""
    request_id = await client.request_sync(team, integration_id)

    async def line() -> dict[str, Any] | None:
        return next((one for one in await client.syncs(team, integration_id) if request_id in one["request_ids"]), None)

    return await until(line)


async def test_noise_changes_no_day_and_raises_no_alarm(client: SystemClient) -> None:
    team, integration_id, days = await _connected(client)
    shown = await client.shown(team, *days)
    await client.play(team, "noise")

    changed = [(await client.force(team, integration_id))["days_changed"] for _ in range(3)]

    assert changed == [0, 0, 0]
    assert await client.shown(team, *days) == shown == await client.served(team, *days)
    assert await client.rows(REVISED, integration_id) == []
    asked = await in_process(
        *("reconcile", "--ask-xai", "--integration", integration_id, "--json"),
        env=client.system.environment_of("syncer") | client.environment,
    )
    assert [one for one in json.loads(asked.stdout)["differences"] if one["integration_id"] == integration_id] == []


async def test_one_tick_is_a_change(client: SystemClient) -> None:
    team, integration_id, (_, day) = await _connected(client)
    await client.play(team, "noise")
    changed = []
    for usd in ("23.4567890123", "23.4567890124"):
        await client.restate(team, day, {"grok-4-fast": usd})
        changed.append((await client.force(team, integration_id))["days_changed"])

    assert changed == [1, 1]


@pytest.mark.parametrize("scenario", ["proto_names", "mixed_names", "other_offset", "tiny_amounts"])
async def test_what_is_written_in_another_way_is_read_all_the_same(client: SystemClient, scenario: str) -> None:
    team, integration_id, days = await _connected(client)
    await client.play(team, scenario)
    await client.restate(team, days[1], {"grok-4-fast": "1.5", "grok-4-free": "0"})

    done = await client.force(team, integration_id)

    assert (done["code"], done["reconciled"], done["days_changed"]) == (None, True, 1)
    assert await client.shown(team, *days) == await client.served(team, *days)


@pytest.mark.parametrize("scenario", ["stamped_on_the_eve", "stamped_at_seven", "stamped_at_local_midnight", "hourly"])
async def test_figures_of_other_days_are_not_stored(client: SystemClient, scenario: str) -> None:
    team, integration_id, days = await _connected(client)
    shown = await client.shown(team, *days)
    await client.restate(team, days[1], {"grok-4-fast": "1.5"})  # without any figure there is none of another day
    await client.play(team, scenario)

    test = await client.request("POST", f"{team.integrations}/test", team.credentials())
    line = await _failed(client, team, integration_id)

    assert (test.json()["ok"], test.json()["code"]) == (False, "answer_unreadable")
    assert (line["code"], line["final"]) == ("answer_unreadable", False)
    assert await client.shown(team, *days) == shown


@pytest.mark.parametrize(
    ("scenario", "code"), [("refused_by_gateway", "xai_unavailable"), ("incorrect_key", "key_refused")]
)
async def test_the_connection_test_names_who_refused_what(client: SystemClient, scenario: str, code: str) -> None:
    team = await client.team()
    await client.play(team, scenario)

    test = (await client.request("POST", f"{team.integrations}/test", team.credentials())).json()

    assert (test["ok"], test["code"]) == (False, code)
    assert "Incorrect API key" not in str(test)


async def test_a_page_of_a_gateway_turns_no_card_red(client: SystemClient) -> None:
    team, integration_id, _ = await _connected(client)
    await client.play(team, "refused_by_gateway")

    line = await _failed(client, team, integration_id)

    assert (line["code"], line["final"]) == ("xai_unavailable", False)
    card = await client.card(team, integration_id)
    assert card["status"] == "active"
