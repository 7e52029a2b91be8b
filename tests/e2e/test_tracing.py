"""The trace context of whoever began it is on every record that follows, through every queue and table."""

from collections import Counter
from secrets import token_hex
from typing import Any

from contract.messages import RenameIntegration
from contract.topics import COMMANDS_TOPIC, SYNC_REQUESTS, TOPICS

from tests.support.messages import sync_requested, wire
from tests.support.system import SystemClient
from tests.support.waiting import until
from tests.support.web_app import WebApp
from tests.support.xai import Team

CONNECTED = Counter(
    IntegrationAdded=1, CredentialSealed=1, CostRecorded=30, WindowRead=1, SyncCompleted=1, IntegrationChanged=1
)
SYNCED = Counter(SyncRequested=1, CostRecorded=8, WindowRead=1, SyncCompleted=1)
RENAMED = Counter(RenameIntegration=1, CommandSucceeded=1, IntegrationChanged=1)
REMOVED = Counter(IntegrationRemoved=1, tombstone=1)


async def test_every_record_that_follows_carries_the_trace_of_its_cause(client: SystemClient) -> None:
    team = await client.team()
    connect, force, request, command, removal = traces = [f"00-{token_hex(16)}-{token_hex(8)}-01" for _ in range(5)]
    body = team.credentials() | {"plan": "free"}
    integration_id = (await _http(client, "POST", team.integrations, connect, body))["integration_id"]
    await _followed_by(client, team, integration_id, connect, CONNECTED)

    await _http(client, "POST", f"{team.path(integration_id)}/sync", force, {})
    await _followed_by(client, team, integration_id, force, SYNCED)
    value, headers = wire(sync_requested(integration_id))
    traced = dict(headers) | {"traceparent": request.encode()}
    await client.publish(SYNC_REQUESTS.name, integration_id, value, traced)
    await _followed_by(client, team, integration_id, request, SYNCED)
    value, headers = wire(WebApp(client, team).command(RenameIntegration, integration_id=integration_id, label="New"))
    traced = dict(headers) | {"traceparent": command.encode()}
    await client.publish(COMMANDS_TOPIC.name, team.account_id, value, traced)
    await _followed_by(client, team, integration_id, command, RENAMED)
    await _http(client, "DELETE", team.path(integration_id), removal)
    await _followed_by(client, team, integration_id, removal, REMOVED)

    records = await _records(client, team, integration_id)
    assert {trace for trace, _ in records} == set(traces), "no record without one"


async def _http(client: SystemClient, method: str, path: str, trace: str, body: Any = None) -> Any:
    url = f"{client.address.connector_url}/v1{path}"
    answer = await client.http.request(method, url, json=body, headers={"traceparent": trace})
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


async def _followed_by(
    client: SystemClient, team: Team, integration_id: str, trace: str, expected: Counter[str]
) -> None:
    """Wait until what `trace` leads to is on the topics."""

    async def following() -> Counter[str]:
        return Counter(kind for one, kind in await _records(client, team, integration_id) if one == trace)

    await until(following, lambda found: found == expected)


async def _records(client: SystemClient, team: Team, integration_id: str) -> list[tuple[str | None, str]]:
    """Trace and type of every record of the account and the integration."""
    keys = {integration_id.encode(), team.account_id.encode()}
    every = [record for topic in TOPICS for record in await client.records(topic.name) if record.key in keys]
    headers = [{name: (value or b"").decode() for name, value in record.headers} for record in every]
    return [(one.get("traceparent"), one.get("ce_type", "tombstone")) for one in headers]
