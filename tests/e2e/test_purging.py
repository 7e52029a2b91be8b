"""What was removed is gone: the sealed key from both tables and from the topic; an erased history from everywhere, for good."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from common.database import Database, make_engine
from common.kafka.client import client_options, make_broker
from common.kafka.publisher import Publisher
from common.settings import KafkaSettings
from common.watchdog import Watchdog
from connector.housekeeping import Housekeeping
from contract.topics import CREDENTIALS
from grafient.topics.apply import apply_topics
from pydantic import SecretStr

from tests.support.system import SystemClient, Team
from tests.support.waiting import until

AT_ONCE = {"segment.ms": "100", "max.compaction.lag.ms": "100", "delete.retention.ms": "100"}
KEPT = {
    "connector": ("syncs",),
    "syncer": ("raw_answers", "coverage"),
    "ledger": ("days", "day_revisions", "outcomes"),
}
"""Where the money of an integration stands."""


async def _sealed(world: SystemClient, integration_id: str) -> list[bytes]:
    """Every text of the envelope that is long enough to be of this key only."""
    query = "SELECT envelope FROM syncer.credentials WHERE integration_id = %s"
    ((envelope,),) = await until(lambda: world.rows(query, integration_id))
    found = [text.encode() for text in envelope.values() if isinstance(text, str) and len(text) > 30]
    assert len(found) > 1, "ciphertext and wrapped key"
    return found


async def _hasten(world: SystemClient) -> None:
    admin = AIOKafkaAdminClient(**client_options(world.system.kafka.settings()))
    await admin.start()
    try:
        kind = ConfigResourceType.TOPIC
        await admin.alter_configs([ConfigResource(kind, CREDENTIALS.name, CREDENTIALS.config | AT_ONCE)])
    finally:
        await admin.close()


async def test_a_removed_integrations_sealed_key_leaves_connector_syncer_and_topic(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    sealed = await _sealed(world, integration_id)
    assert await _on_the_topic(world, sealed)

    await _remove(world, team, integration_id, "keep")

    query = "SELECT envelope::text FROM connector.integrations WHERE integration_id = %s"
    assert await world.rows(query, integration_id) == [(None,)]
    query = "SELECT 1 FROM syncer.credentials WHERE integration_id = %s"
    await until(lambda: world.rows(query, integration_id), lambda rows: rows == [])
    settings = KafkaSettings(kafka_bootstrap_servers=world.address.kafka)
    try:
        await _hasten(world)
        await _marked_until_gone(world, settings, sealed)
    finally:
        await apply_topics(settings, replication=1)


async def _marked_until_gone(world: SystemClient, settings: KafkaSettings, sealed: list[bytes]) -> None:
    """The connector's own hourly round, as often as the broker's cleaner needs it."""
    broker = make_broker(settings, "connector")
    database = Database(make_engine(SecretStr(world.system.postgres.url_of("connector")), schema="connector"))
    async with broker:
        await broker.connect()
        housekeeping = Housekeeping(database, Publisher(broker, "connector", Watchdog()), Watchdog())

        async def left() -> bool:
            await housekeeping.mark_credentials()
            return await _on_the_topic(world, sealed)

        await until(left, lambda found: not found)
    await database.close()


async def _on_the_topic(world: SystemClient, sealed: list[bytes]) -> bool:
    values = [record.value or b"" for record in await world.records(CREDENTIALS.name)]
    return any(text in value for text in sealed for value in values)


async def _remove(world: SystemClient, team: Team, integration_id: str, history: str) -> None:
    path = f"/accounts/{team.account_id}/integrations/{integration_id}?history={history}"
    assert (await world.request("DELETE", path)).is_success


async def _kept(world: SystemClient, integration_id: str) -> dict[str, int]:
    """Rows of the integration's money, by table; and decisions that hold figures."""
    counts: dict[str, int] = {}
    for service, tables in KEPT.items():
        for table in tables:
            query = f"SELECT count(*) FROM {service}.{table} WHERE integration_id = %s"  # noqa: S608 - our own names
            counts[f"{service}.{table}"] = (await world.rows(query, integration_id))[0][0]
    query = "SELECT count(*) FROM syncer.windows WHERE integration_id = %s AND decision IS NOT NULL"
    counts["syncer.windows.decision"] = (await world.rows(query, integration_id))[0][0]
    query = "SELECT count(*) FROM connector.account_events WHERE integration_id = %s AND kind = 'sync'"
    counts["connector.account_events"] = (await world.rows(query, integration_id))[0][0]
    return {name: count for name, count in counts.items() if count}


async def test_erased_stays_erased_under_replay_and_late_messages(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    assert await _kept(world, integration_id)
    costs = await _of(world, "xai.costs.v1", integration_id)
    outcomes = await _of(world, "xai.sync-outcomes.v1", integration_id)
    states = await _of(world, "xai.integrations.v1", integration_id)
    await world.control("POST", "/faults", {"team_id": team.team_id, "times": 1, "delay_ms": 1000})
    path = f"/accounts/{team.account_id}/integrations/{integration_id}/sync"
    assert (await world.request("POST", path, {})).is_success

    await _remove(world, team, integration_id, "erase")
    await until(lambda: _kept(world, integration_id), lambda left: not left)

    for topic, records in (
        ("xai.integrations.v1", states),
        ("xai.costs.v1", costs),
        ("xai.sync-outcomes.v1", outcomes),
    ):
        for record in records:
            await world.publish(topic, integration_id, record.value, dict(record.headers))
    await world.ask(integration_id, f"late-{uuid.uuid4()}")
    for group, topic in _READERS:
        await world.consumed(f"{group}.{topic}", topic)
    waiting = "SELECT count(*) FROM syncer.windows WHERE integration_id = %s AND closed_at IS NULL"
    await until(lambda: world.rows(waiting, integration_id), lambda rows: rows == [(0,)])
    for group, topic in _READERS:
        await world.consumed(f"{group}.{topic}", topic)
    assert await until(lambda: _kept(world, integration_id), lambda left: not left) == {}
    assert await _shown(world, team) == []


_READERS = (
    ("ledger", "xai.integrations.v1"),
    ("ledger", "xai.costs.v1"),
    ("syncer", "xai.integrations.v1"),
    ("syncer", "xai.sync-requests.v1"),
    ("syncer", "xai.sync-outcomes.v1"),
    ("connector", "xai.sync-outcomes.v1"),
)


async def _of(world: SystemClient, topic: str, integration_id: str) -> list[Any]:
    found = [one for one in await world.records(topic) if one.key == integration_id.encode()]
    assert all(json.loads(one.value) for one in found)
    assert found
    return found


async def _shown(world: SystemClient, team: Team) -> list[dict[str, Any]]:
    today = datetime.now(UTC).date()
    return [day for day in await world.costs(team, today - timedelta(days=29), today) if day["models"]]


async def test_a_history_that_is_kept_stays_and_comes_back_with_the_team(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    before = await _shown(world, team)
    assert before

    await _remove(world, team, integration_id, "keep")
    assert [one["models"] for one in await _shown(world, team)] == [one["models"] for one in before]

    assert await world.connect(team) == integration_id
    assert [one["models"] for one in await _shown(world, team)] == [one["models"] for one in before]
