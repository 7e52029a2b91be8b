"""What the services write is what `docs/asyncapi.yaml` describes: key, headers and body of a record of each type."""

import json
import uuid
from pathlib import Path
from typing import Any

import yaml
from contract.cloudevents import MARKER_KEY
from contract.fields import History, Plan
from contract.messages import ChangePlan, RemoveIntegration, RenameIntegration
from contract.topics import CREDENTIALS, DEAD_LETTERS, INTEGRATIONS, SYNC_REQUESTS, TOPICS, Topic
from jsonschema import Draft202012Validator, FormatChecker

from tests.support.system import SystemClient
from tests.support.waiting import until
from tests.support.web_app import WebApp
from tests.support.xai import Team

DOCUMENT: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "docs" / "asyncapi.yaml").read_text())
PARTS: dict[str, Any] = DOCUMENT["components"]
CHANNELS: dict[str, dict[str, Any]] = {one["address"]: one["messages"] for one in DOCUMENT["channels"].values()}


async def test_a_record_of_each_type_fits_the_committed_document(client: SystemClient) -> None:
    team = await client.team()
    poison = f"poison-{uuid.uuid4()}"
    integration_id = await _use_everything(client, team, poison)
    keys = {key.encode() for key in (integration_id, team.account_id, MARKER_KEY, poison)}

    found: dict[tuple[str, int, int], tuple[Topic, str, Any]] = {}

    async def missing() -> set[str]:
        every = [(topic, record) for topic in TOPICS for record in await client.records(topic.name)]
        for topic, record in every:
            if record.key in keys:
                found[topic.name, record.partition, record.offset] = topic, _type_of(topic, record), record
        return set(PARTS["messages"]) - {name for _, name, _ in found.values()}

    await until(missing, lambda names: not names)

    for topic, name, record in found.values():
        if name != "poison":
            assert name in CHANNELS[topic.name]
            assert (name, _problems(name, record)) == (name, [])


async def _use_everything(client: SystemClient, team: Team, poison: str) -> str:
    """Do whatever makes the services write a record; return the ID of the integration."""
    web_app = WebApp(client, team)
    integration_id: str = (await web_app.done(await web_app.add(label="Research")))["integration_id"]
    await client.backfilled(team, integration_id)
    await client.force(team, integration_id)
    await client.fail(team, times=1, status=503)
    await client.force(team, integration_id)
    await web_app.done(await web_app.replace_credential(integration_id, team.key))
    for command in (
        web_app.command(RenameIntegration, integration_id=integration_id, label="Production"),
        web_app.command(RenameIntegration, integration_id=uuid.uuid4(), label="Unknown"),
        web_app.command(ChangePlan, plan=Plan.PRO),
    ):
        await web_app.done(command)
    await until(
        lambda: _is_announced(client, integration_id, "IntegrationChanged")
    )  # of several states only the last is
    await web_app.done(web_app.command(RemoveIntegration, integration_id=integration_id, history=History.KEEP))
    await client.publish(SYNC_REQUESTS.name, poison, b"{", {"ce_type": b"\xff", "x": None})
    return integration_id


async def _is_announced(client: SystemClient, integration_id: str, name: str) -> bool:
    return any(
        _type_of(INTEGRATIONS, record) == name for record in await client.records_of(INTEGRATIONS, integration_id)
    )


def _type_of(topic: Topic, record: Any) -> str:
    headers = dict(record.headers)
    if topic is CREDENTIALS and record.key == MARKER_KEY.encode():
        return "Marker"
    if topic is CREDENTIALS and record.value is None:
        return "Tombstone"
    if topic is DEAD_LETTERS:
        return "DeadLetter"
    return "poison" if record.key.startswith(b"poison") else str(headers["ce_type"].decode())


def _problems(name: str, record: Any) -> list[str]:
    """What of the record does not fit the description of its message."""
    described = PARTS["messages"][name]
    headers = {header: (value or b"").decode() for header, value in record.headers}
    body = record.value and (record.value.decode() if name == "DeadLetter" else json.loads(record.value))
    parts = (
        (record.key.decode(), described["bindings"]["kafka"]["key"]),
        (headers, described.get("headers", {})),
        (body, described["payload"]),
    )
    return [error.message for instance, schema in parts for error in _validator(schema).iter_errors(instance)]


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema | {"components": PARTS}, format_checker=FormatChecker())
