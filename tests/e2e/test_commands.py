"""A web app connects a team without the API: by commands on the real broker, from the first to the last."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from contract.fields import History, Plan
from contract.messages import ChangePlan, RemoveIntegration, RenameIntegration
from contract.topics import COMMANDS_TOPIC

from tests.support.system import SystemClient, Team
from tests.support.waiting import until
from tests.support.web_app import WebApp


async def test_an_integration_lives_from_the_first_to_the_last_by_commands(world: SystemClient) -> None:
    former, new = (f"fake-key-{uuid.uuid4().hex}" for _ in range(2))
    team = await world.team(keys=[{"key": former, "name": "former"}, {"key": new, "name": "new"}])
    web_app = WebApp(world, Team(team.team_id, former, team.account_id))

    added = await web_app.done(await web_app.add(label="Research"))
    integration_id = added["integration_id"]
    await world.backfilled(team, integration_id)
    assert any(day["models"] for day in await world.costs(team, *_last_days(30)))

    rename = web_app.command(RenameIntegration, integration_id=integration_id, label="Production")
    upgrade = web_app.command(ChangePlan, plan=Plan.PRO)
    replacement = await web_app.replace_credential(integration_id, new)
    results = [await web_app.done(command) for command in (rename, upgrade, replacement)]
    card = await until(lambda: world.card(team, integration_id), lambda shown: shown["status"] == "active")

    assert [one["integration_id"] for one in results] == [integration_id, None, integration_id]
    assert all("code" not in one for one in (added, *results))
    assert (card["label"], card["plan"], card["backfill"]["days_expected"]) == ("Production", "pro", 90)
    assert (await world.calls(team))[-1]["key"] == "new"

    removal = web_app.command(RemoveIntegration, integration_id=integration_id, history=History.ERASE)
    removed = await web_app.done(removal)
    assert removed["integration_id"] == integration_id
    await until(
        lambda: world.rows("SELECT 1 FROM ledger.days WHERE account_id = %s", team.account_id), lambda rows: not rows
    )
    assert len(await web_app.results()) == 5, "one for each command, though each was sent twice"


async def test_what_cannot_be_read_is_rejected_goes_to_dead_letters_and_holds_up_nobody(world: SystemClient) -> None:
    team = await world.team()
    web_app = WebApp(world, team)
    poison, clear, good = await web_app.add(), await web_app.add(), await web_app.add()
    in_clear = {"team_id": "team/../else", "management_key": team.key, "sealed_key": team.key}

    await web_app.send(poison, json.dumps(json.loads(poison.model_dump_json()) | in_clear).encode())
    await web_app.send(clear, json.dumps(json.loads(clear.model_dump_json()) | {"sealed_key": team.key}).encode())
    await web_app.send(good)

    assert (await web_app.result(poison))["code"] == "team_malformed"
    assert (await web_app.result(clear))["code"] == "unsealable"
    assert "code" not in await web_app.result(good)
    letters = [one for one in await world.records("xai.dead-letters.v1") if _topic_of(one) == COMMANDS_TOPIC.name]
    assert letters
    assert all(not one.value for one in letters)
    assert team.key not in str(letters)
    assert await world.rows("SELECT 1 FROM connector.commands WHERE commands::text LIKE %s", f"%{team.key}%") == []


def _topic_of(letter: Any) -> str:
    return str(dict(letter.headers)["dead_letter_topic"].decode())


def _last_days(days: int) -> tuple[Any, Any]:
    today = datetime.now(UTC).date()
    return today - timedelta(days=days - 1), today
