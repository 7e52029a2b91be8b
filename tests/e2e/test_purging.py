"""After a removal the sealed key is in no table and on no topic; an erased history is nowhere, and stays erased."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from contract.topics import COSTS, CREDENTIALS, INTEGRATIONS, SYNC_OUTCOMES, SYNC_REQUESTS, Topic

from tests.support.purging import compacting_at_once
from tests.support.system import SystemClient
from tests.support.waiting import until
from tests.support.xai import Team

KEPT = {
    "connector": ("syncs",),
    "syncer": ("raw_answers", "coverage", "known_days", "questions"),
    "ledger": ("days", "day_revisions", "outcomes"),
}
"""The tables that hold costs of an integration."""


async def _sealed(client: SystemClient, integration_id: str) -> list[bytes]:
    """Every text of the envelope that is long enough to be of this key only."""
    query = "SELECT envelope FROM syncer.credentials WHERE integration_id = %s"
    (envelope,) = await client.row_is_there(query, integration_id)
    found = [text.encode() for text in envelope.values() if isinstance(text, str) and len(text) > 30]
    assert len(found) > 1, "ciphertext and wrapped key"
    return found


async def test_a_removed_integrations_sealed_key_leaves_connector_syncer_and_topic(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    sealed = await _sealed(client, integration_id)
    assert await _on_the_topic(client, sealed)

    await client.remove(team, integration_id)

    query = "SELECT envelope::text FROM connector.integrations WHERE integration_id = %s"
    assert await client.rows(query, integration_id) == [(None,)]
    query = "SELECT 1 FROM syncer.credentials WHERE integration_id = %s"
    await client.no_row_is_left(query, integration_id)
    async with compacting_at_once(client) as mark:

        async def is_gone() -> bool:
            await mark()
            return not await _on_the_topic(client, sealed)

        await until(is_gone)


async def _on_the_topic(client: SystemClient, sealed: list[bytes]) -> bool:
    values = [record.value or b"" for record in await client.records(CREDENTIALS.name)]
    return any(text in value for text in sealed for value in values)


async def _kept(client: SystemClient, integration_id: str) -> dict[str, int]:
    """Rows with costs of the integration, by table; and decisions that hold figures."""
    counts: dict[str, int] = {}
    for service, tables in KEPT.items():
        for table in tables:
            query = f"SELECT count(*) FROM {service}.{table} WHERE integration_id = %s"  # noqa: S608 - our own names
            counts[f"{service}.{table}"] = (await client.rows(query, integration_id))[0][0]
    query = "SELECT count(*) FROM syncer.windows WHERE integration_id = %s AND decision IS NOT NULL"
    counts["syncer.windows.decision"] = (await client.rows(query, integration_id))[0][0]
    query = "SELECT count(*) FROM connector.account_events WHERE integration_id = %s AND kind = 'sync'"
    counts["connector.account_events"] = (await client.rows(query, integration_id))[0][0]
    return {name: count for name, count in counts.items() if count}


async def test_erased_stays_erased_under_replay_and_late_messages(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    assert await _kept(client, integration_id)
    old = {topic: await _of(client, topic, integration_id) for topic in (INTEGRATIONS, COSTS, SYNC_OUTCOMES)}
    await client.fail(team, times=1, delay_ms=1000)
    await client.request_sync(team, integration_id)

    await client.remove(team, integration_id, "erase")
    await until(lambda: _kept(client, integration_id), lambda left: not left)

    for topic, records in old.items():
        for record in records:
            await client.publish(topic.name, integration_id, record.value, dict(record.headers))
    await client.ask(integration_id, f"late-{uuid.uuid4()}")
    await _all_consumed(client)
    await client.no_row_is_left(
        "SELECT 1 FROM syncer.windows WHERE integration_id = %s AND closed_at IS NULL", integration_id
    )
    await _all_consumed(client)
    assert await until(lambda: _kept(client, integration_id), lambda left: not left) == {}
    assert await _shown(client, team) == []


async def _all_consumed(client: SystemClient) -> None:
    await client.consumed("ledger", INTEGRATIONS, COSTS)
    await client.consumed("syncer", INTEGRATIONS, SYNC_REQUESTS, SYNC_OUTCOMES)
    await client.consumed("connector", SYNC_OUTCOMES)


async def _of(client: SystemClient, topic: Topic, integration_id: str) -> list[Any]:
    found = await client.records_of(topic, integration_id)
    assert all(json.loads(one.value) for one in found)
    assert found
    return found


async def _shown(client: SystemClient, team: Team) -> list[dict[str, Any]]:
    today = datetime.now(UTC).date()
    return [day for day in await client.costs(team, today - timedelta(days=29), today) if day["models"]]


async def test_a_history_that_is_kept_stays_and_comes_back_with_the_team(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    before = await _shown(client, team)
    assert before

    await client.remove(team, integration_id)
    assert [one["models"] for one in await _shown(client, team)] == [one["models"] for one in before]

    assert await client.connect(team) == integration_id
    assert [one["models"] for one in await _shown(client, team)] == [one["models"] for one in before]
