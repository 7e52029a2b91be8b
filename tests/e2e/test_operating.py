"""What operators see of the running system: what waits, its state, and the queue."""

import uuid
from typing import Any

from tests.support.commands import in_process
from tests.support.system import SystemClient
from tests.support.waiting import until


async def _run(world: SystemClient, *arguments: str, status: int = 0) -> Any:
    return (await in_process(*arguments, "--json", env=world.environment)).json(status=status)


async def test_what_is_not_handled_yet_is_shown_with_its_age(world: SystemClient) -> None:
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


async def test_the_whole_system_is_shown_on_one_page(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.control("POST", "/keys/revoke", {"key": team.key})
    await world.force(team, integration_id)
    await until(lambda: world.card(team, integration_id), lambda card: card["status"] == "error")

    report = await _run(world, "status")

    assert set(report) == {"integrations", "to be announced", "windows", "unread", "not reconciled"}
    assert any(one["what"] == "error key_refused" and one["since"] for one in report["integrations"])


async def test_a_window_is_made_due_and_cancelled_by_its_id(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.control("POST", "/faults", {"team_id": team.team_id, "status": 503, "times": 100})
    await world.ask(integration_id, "stuck")

    async def waits() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await _run(world, "windows", "list", "--integration", integration_id)
        return [one for one in found if one["state"] == "waiting"]

    (window,) = await until(waits)
    named, unknown = window["window_id"], str(uuid.uuid4())
    report = await _run(world, "windows", "retry", unknown, named, status=1)
    assert [one["window_id"] for one in report["done"]] == [named]
    assert [(one["window_id"], one["state"], one["code"]) for one in report["refused"]] == [
        (unknown, "unknown", "not_found")
    ]
    await until(waits)

    async def cancelled(*options: str) -> bool:
        return (await in_process("windows", "cancel", named, "--json", *options, env=world.environment)).status == 0

    await until(lambda: cancelled("--dry-run"))
    await until(waits)
    await until(cancelled)
    assert (await world.ended(team, integration_id, "stuck"))["code"] == "cancelled"

    refused = await in_process("windows", "retry", named, env=world.environment)
    assert (refused.status, "nothing was done" in refused.stdout) == (1, True)
    assert f"{named}: ended. It ended at 20" in refused.stderr
    assert "(window_ended)" in refused.stderr
