"""What operators see of the running system: what waits, how it stands, and the queue."""

import asyncio
import json
import uuid
from typing import Any

from grafient.main import app
from typer.testing import CliRunner

from tests.support.system import SystemClient
from tests.support.waiting import until


async def _run(world: SystemClient, *arguments: str, status: int = 0) -> Any:
    env = {"KAFKA_BOOTSTRAP_SERVERS": world.address.kafka, "DATABASE_URL": world.address.database_url}
    result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json"], env=env)
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


async def test_what_nobody_has_handled_yet_is_told_with_its_age(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    async with world.locked("ledger.days"):
        await world.ask(integration_id, "waits")

        async def behind() -> list[dict[str, Any]]:
            return [
                one for one in await _run(world, "lag") if (one["service"], one["topic"]) == ("ledger", "xai.costs.v1")
            ]

        (waits,) = await until(behind, lambda got: int(got[0]["waiting"]) > 0)

    assert waits["since"]
    await world.ended(team, integration_id, "waits")
    await world.consumed("ledger.xai.costs.v1", "xai.costs.v1")
    (caught_up,) = await behind()
    assert (caught_up["waiting"], caught_up["since"]) == ("0", "")


async def test_the_whole_system_is_told_on_one_page(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.control("POST", "/keys/revoke", {"key": team.key})
    await world.force(team, integration_id)
    await until(lambda: world.card(team, integration_id), lambda card: card["status"] == "error")

    told = await _run(world, "status")

    assert set(told) == {"integrations", "to be announced", "windows", "unread", "not reconciled"}
    assert any(one["what"] == "error key_refused" and one["since"] for one in told["integrations"])


async def test_a_window_is_hurried_and_cancelled_by_its_id(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.control("POST", "/faults", {"team_id": team.team_id, "status": 503, "times": 100})
    await world.ask(integration_id, "stuck")

    async def waits() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await _run(world, "windows", "list", "--integration", integration_id)
        return [one for one in found if one["state"] == "waiting"]

    (window,) = await until(waits)
    named, unknown = window["window_id"], str(uuid.uuid4())
    told = await _run(world, "windows", "retry", unknown, named, status=1)
    assert [one["window_id"] for one in told["done"]] == [named]
    assert [(one["window_id"], one["state"], one["code"]) for one in told["refused"]] == [
        (unknown, "unknown", "not_found")
    ]
    await until(waits)

    async def cancelled(*options: str) -> bool:
        arguments = ["windows", "cancel", named, "--json", *options]
        env = {"DATABASE_URL": world.address.database_url}
        return (await asyncio.to_thread(CliRunner().invoke, app, arguments, env=env)).exit_code == 0

    await until(lambda: cancelled("--dry-run"))
    await until(waits)
    await until(cancelled)
    assert (await world.ended(team, integration_id, "stuck"))["code"] == "cancelled"

    arguments, env = ["windows", "retry", named], {"DATABASE_URL": world.address.database_url}
    said = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=env)
    assert (said.exit_code, "nothing was done" in said.stdout) == (1, True)
    assert f"{named}: ended. It ended at 20" in said.stderr
    assert "(window_ended)" in said.stderr
