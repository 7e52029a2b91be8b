"""A web app manages an integration without the API: by commands on the real broker."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from contract.fields import History, Plan
from contract.messages import ChangePlan, RemoveIntegration, RenameIntegration
from contract.topics import COMMANDS_TOPIC, DEAD_LETTERS

from tests.support.system import SystemClient
from tests.support.waiting import until
from tests.support.web_app import WebApp
from tests.support.xai import Team


async def test_an_integration_is_added_changed_and_removed_by_commands(client: SystemClient) -> None:
    former, new = (f"fake-key-{uuid.uuid4().hex}" for _ in range(2))
    team = await client.team(keys=[{"key": former, "name": "former"}, {"key": new, "name": "new"}])
    web_app = WebApp(client, Team(team.team_id, former, team.account_id))

    connect = await web_app.add(label="Research")
    added = await web_app.done(connect)
    integration_id = added["integration_id"]
    await client.backfilled(team, integration_id)
    assert any(day["models"] for day in await client.costs(team, *_last_days(30)))

    rename = web_app.command(RenameIntegration, integration_id=integration_id, label="Production")
    upgrade = web_app.command(ChangePlan, plan=Plan.PRO)
    replacement = await web_app.replace_credential(integration_id, new)
    results = [await web_app.done(command) for command in (rename, upgrade, replacement)]
    card = await client.card_with(team, integration_id, "active")

    assert [one["integration_id"] for one in results] == [integration_id, None, integration_id]
    assert all("code" not in one for one in (added, *results))
    assert (card["label"], card["plan"], card["backfill"]["days_expected"]) == ("Production", "pro", 90)
    await until(lambda: client.calls(team), lambda calls: calls[-1]["key"] == "new")

    ended = (await client.request("GET", f"/accounts/{team.account_id}/commands/{connect.command_id}")).json()
    assert (ended["state"], ended["integration_id"]) == ("succeeded", integration_id)

    removal = web_app.command(RemoveIntegration, integration_id=integration_id, history=History.ERASE)
    removed = await web_app.done(removal)
    assert removed["integration_id"] == integration_id
    await client.no_row_is_left("SELECT 1 FROM ledger.days WHERE account_id = %s", team.account_id)
    distinct = {json.dumps(one) for one in await web_app.results()}
    assert len(distinct) == 5, "one for each command, though each was sent twice"


async def test_unreadable_commands_are_rejected_and_dead_lettered_and_hold_up_nobody(client: SystemClient) -> None:
    team = await client.team()
    web_app = WebApp(client, team)
    poison, clear, good = await web_app.add(), await web_app.add(), await web_app.add()
    in_clear = {"plan": "gold", "management_key": team.key, "sealed_key": team.key}

    body = json.dumps(json.loads(poison.model_dump_json()) | in_clear).encode()
    await web_app.send(poison, body)
    await web_app.send(clear, json.dumps(json.loads(clear.model_dump_json()) | {"sealed_key": team.key}).encode())
    await web_app.send(good)

    assert (await web_app.result(poison))["code"] == "key_exposed"
    assert (await web_app.result(clear))["code"] == "key_exposed"
    assert "code" not in await web_app.result(good)
    records = await client.records(DEAD_LETTERS.name)
    letters = [one for one in records if dict(one.headers).get("dead_letter_topic") == COMMANDS_TOPIC.name.encode()]
    assert letters
    assert all(not one.value for one in letters)
    assert team.key not in str(letters)
    (letter,) = (
        one for one in await client.dead_letters() if one.get("dead_letter_sha256") == sha256(body).hexdigest()
    )
    assert letter["dead_letter_answered"] == "true"
    assert letter["dead_letter_id"] not in [one["id"] for one in await client.run("dead-letters", "list")]
    assert await client.rows("SELECT 1 FROM connector.commands WHERE commands::text LIKE %s", f"%{team.key}%") == []


def _last_days(days: int) -> tuple[Any, Any]:
    today = datetime.now(UTC).date()
    return today - timedelta(days=days - 1), today
