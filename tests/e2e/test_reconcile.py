"""Operators can have it proven that the ledger holds what was read, and are shown every difference."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from e2e_world import Team, World
from grafient.main import app
from typer.testing import CliRunner

COSTS = "xai.costs.v1"


async def _reconcile(world: World, integration_id: str) -> tuple[dict[str, int], list[dict[str, str]]]:
    """Messages by state, and the differences of the integration; the status says whether there is any of anybody."""
    env = {"KAFKA_BOOTSTRAP_SERVERS": world.address.kafka, "DATABASE_URL": world.address.database_url}
    result = await asyncio.to_thread(CliRunner().invoke, app, ["reconcile", "--json"], env=env)
    told: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == bool(told["differences"]), result.output
    return told["messages"], [one for one in told["differences"] if one["integration_id"] == integration_id]


async def _connected(world: World) -> tuple[Team, str]:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.force(team, integration_id)
    await world.consumed(f"ledger.{COSTS}", COSTS)
    return team, integration_id


async def test_what_was_read_and_kept_shows_no_difference(world: World) -> None:
    _, integration_id = await _connected(world)

    messages, differences = await _reconcile(world, integration_id)

    assert differences == []
    assert messages["held"] >= 30
    assert messages["stale"] >= 8


@pytest.mark.parametrize(
    ("harm", "kinds"),
    [
        ("DELETE FROM ledger.days WHERE integration_id = %s AND day = %s", {"missing", "not_covered"}),
        ("UPDATE ledger.days SET usd = usd + 1 WHERE integration_id = %s AND day = %s", {"differs", "sum_differs"}),
    ],
)
async def test_what_is_not_as_it_was_read_is_named(world: World, harm: str, kinds: Sequence[str]) -> None:
    team, integration_id = await _connected(world)
    ((day,),) = await world.rows(
        "SELECT max(day) FROM ledger.days WHERE integration_id = %s AND day < current_date - 10", integration_id
    )
    await world.rows(f"{harm} RETURNING 1", integration_id, day)

    _, differences = await _reconcile(world, integration_id)

    assert {one["kind"] for one in differences} == set(kinds)
    assert {(one["account_id"], one["days"]) for one in differences} == {(team.account_id, str(day))}


async def test_what_was_erased_or_given_up_is_no_difference(world: World) -> None:
    team, integration_id = await _connected(world)
    await world.request("DELETE", f"/accounts/{team.account_id}/integrations/{integration_id}?history=erase")
    await world.consumed("ledger.xai.integrations.v1", "xai.integrations.v1")

    messages, differences = await _reconcile(world, integration_id)

    assert differences == []
    assert messages["erased"] >= 31
