"""What nobody can read is dead-lettered with its reason, and the valid message behind it is handled."""

import json
import uuid
from collections import Counter

import pytest
from contract.topics import COMMANDS_TOPIC, CREDENTIALS, DEAD_LETTERS, SYNC_REQUESTS, Topic

from tests.support.messages import Headers, credential_sealed, structured, sync_requested, wire
from tests.support.poison import CONSUMERS, poisons
from tests.support.system import SystemClient
from tests.support.waiting import until
from tests.support.web_app import WebApp


@pytest.mark.parametrize("topic", CONSUMERS, ids=lambda topic: topic.name)
async def test_what_nobody_can_read_is_dead_lettered_by_every_consumer_with_its_reason(
    client: SystemClient, topic: Topic
) -> None:
    sent = [one for one in poisons(topic) if one.is_small]
    origins = [await client.publish(topic.name, one.key, one.value, dict(one.headers)) for one in sent]

    for service in CONSUMERS[topic]:
        reasons = await _reasons(client, service, topic, origins)
        assert reasons == Counter(one.reason for one in sent)
        await client.consumed(service, topic)


async def _reasons(client: SystemClient, service: str, topic: Topic, origins: list[tuple[int, int]]) -> Counter[str]:
    """Wait for the service's dead letters of these records; count their reasons."""
    wanted = {f"{service}:{topic.name}:{partition}:{offset}" for partition, offset in origins}

    async def find() -> dict[str, str]:
        found = [one for one in await client.dead_letters() if one["dead_letter_id"] in wanted]
        return {one["dead_letter_id"]: one["dead_letter_reason"] for one in found}

    return Counter((await until(find, lambda found: found.keys() == wanted)).values())


async def test_what_agents_and_sdks_write_is_answered_like_anything_else(client: SystemClient) -> None:
    """Foreign headers that are null or not text, and structured events."""
    team = await client.team()
    web_app = WebApp(client, team)
    add = await web_app.add()
    await client.publish(COMMANDS_TOPIC.name, team.account_id, *_pairs(structured(add)))
    integration_id = (await web_app.result(add))["integration_id"]
    requests = [sync_requested(integration_id) for _ in range(2)]

    await client.publish(SYNC_REQUESTS.name, integration_id, *_pairs(wire(requests[0])))
    await client.publish(SYNC_REQUESTS.name, integration_id, *_pairs(structured(requests[1])))

    assert [(await client.ended(team, integration_id, one.request_id))["reconciled"] for one in requests] == [
        True,
        True,
    ]


def _pairs(record: tuple[bytes, Headers]) -> tuple[bytes, dict[str, bytes | None]]:
    """The record with headers that others add."""
    value, headers = record
    return value, {"x-null": None, "x-bytes": b"\xff\xfe"} | dict(headers)


async def test_poison_at_the_head_does_not_hold_up_a_customers_costs(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    for topic in CONSUMERS:
        await client.publish(topic.name, integration_id, json.dumps({"nonsense": 1}).encode(), {"x": b"\xff"})

    done = await client.force(team, integration_id)

    assert done["reconciled"] is True


async def test_a_key_in_the_clear_on_the_credentials_topic_is_not_copied_to_dead_letters(client: SystemClient) -> None:
    secret, (_, headers) = f"fake-key-in-the-clear-{uuid.uuid4().hex}", wire(credential_sealed(uuid.uuid4()))

    origin = await client.publish(CREDENTIALS.name, str(uuid.uuid4()), secret.encode(), dict(headers))

    await _reasons(client, "syncer", CREDENTIALS, [origin])
    letters = await client.records(DEAD_LETTERS.name)
    assert not any(secret.encode() in (one.value or b"") or secret in str(one.headers) for one in letters)
