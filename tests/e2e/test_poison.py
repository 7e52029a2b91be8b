"""What cannot be read goes to dead letters with its reason, and the good message behind it arrives."""

import json
import uuid

import pytest

from tests.support.system import SystemClient
from tests.support.waiting import until

GROUPS = {
    "xai.integrations.v1": "syncer",
    "xai.credentials.v1": "syncer",
    "xai.sync-requests.v1": "syncer",
    "xai.costs.v1": "ledger",
    "xai.sync-outcomes.v1": "connector",
}
ENVELOPE = {"ce_specversion": b"1.0", "ce_source": b"/test", "content-type": b"application/json"}


@pytest.mark.parametrize("topic", GROUPS)
async def test_malformed_bytes_and_headers_end_in_dead_letters(world: SystemClient, topic: str) -> None:
    marker = uuid.uuid4().hex.encode()
    typed = ENVELOPE | {"ce_id": marker, "ce_type": _type_of(topic)}
    key = str(uuid.uuid4())
    bad = {
        "header_undecodable": (marker, typed | {"x": b"\xff\xfe"}),
        "header_missing": (marker, {}),
        "type_unknown": (marker, typed | {"ce_type": b"Unheard"}),
        "body_malformed": (b"\xff" + marker, typed),
    }
    for body, headers in bad.values():
        await world.publish(topic, key, body, headers)

    reasons = await _reasons(world, topic, key, len(bad))

    assert reasons == sorted(bad)
    await world.consumed(f"{GROUPS[topic]}.{topic}", topic)


async def _reasons(world: SystemClient, topic: str, key: str, count: int) -> list[str]:
    """Reasons of the dead letters that stem from records of `key`."""
    origins = {(one.partition, one.offset) for one in await world.records(topic) if one.key == key.encode()}

    async def find() -> list[str]:
        letters = [
            {name: value.decode() for name, value in one.headers} for one in await world.records("xai.dead-letters.v1")
        ]
        return sorted(
            letter["dead_letter_reason"]
            for letter in letters
            if letter.get("dead_letter_topic") == topic
            and letter["dead_letter_service"] == GROUPS[topic]
            and (int(letter["dead_letter_partition"]), int(letter["dead_letter_offset"])) in origins
        )

    return await until(find, lambda got: len(got) >= count)


def _type_of(topic: str) -> bytes:
    types = {
        "xai.integrations.v1": "IntegrationAdded",
        "xai.credentials.v1": "CredentialSealed",
        "xai.sync-requests.v1": "SyncRequested",
        "xai.costs.v1": "CostRecorded",
        "xai.sync-outcomes.v1": "SyncCompleted",
    }
    return types[topic].encode()


async def test_poison_at_the_head_does_not_hold_up_a_customers_costs(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    for topic in GROUPS:
        await world.publish(topic, integration_id, json.dumps({"nonsense": 1}).encode(), {"x": b"\xff"})

    done = await world.force(team, integration_id)

    assert done["reconciled"] is True


async def test_a_key_in_the_clear_on_the_credentials_topic_is_not_copied_to_dead_letters(world: SystemClient) -> None:
    secret, key = f"fake-key-in-the-clear-{uuid.uuid4().hex}", str(uuid.uuid4())
    await world.publish(
        "xai.credentials.v1", key, secret.encode(), ENVELOPE | {"ce_id": b"1", "ce_type": b"CredentialSealed"}
    )

    await _reasons(world, "xai.credentials.v1", key, 1)

    letters = await world.records("xai.dead-letters.v1")
    assert not any(secret.encode() in (one.value or b"") or secret in str(one.headers) for one in letters)
