"""Dead letters can be looked at, redriven and dropped; no record circulates without end."""

import json
import uuid
from typing import Any

import pytest
from common.kafka.client import make_broker
from common.kafka.dead_letters import DeadLetters
from common.kafka.publisher import Publisher
from common.settings import KafkaSettings
from common.watchdog import Watchdog
from contract.cloudevents import MalformedError
from contract.topics import COMMANDS_TOPIC, SYNC_REQUESTS, Topic

from tests.support.commands import in_process
from tests.support.messages import Headers, raw_record, sync_requested, wire
from tests.support.system import SystemClient
from tests.support.waiting import until


async def _dead_letter(client: SystemClient, topic: Topic, value: bytes, headers: Headers, key: str) -> str:
    """Dead-letter a record as the syncer would; return the ID of the dead letter."""
    record = raw_record(topic, value, headers, key=key.encode(), offset=uuid.uuid4().int >> 80)
    async with make_broker(KafkaSettings(kafka_bootstrap_servers=client.address.kafka), "test") as broker:
        await broker.connect()
        dead_letters = DeadLetters(Publisher(broker, "syncer", Watchdog()), "syncer")
        await dead_letters.put(record, topic, MalformedError("handler_failed", "an unknown bug"))
    return f"syncer:{topic.name}:0:{record.offset}"


async def _poison(client: SystemClient) -> dict[str, Any]:
    """The open dead letter of a record that nobody can read."""
    marker = uuid.uuid4().hex
    await client.publish(SYNC_REQUESTS.name, marker, b"{" + marker.encode(), {"ce_type": marker.encode()})

    async def find() -> dict[str, Any] | None:
        for letter in await client.run(
            "dead-letters", "list", "--topic", SYNC_REQUESTS.name, "--reason", "header_missing"
        ):
            if marker in (await client.run("dead-letters", "show", letter["id"])).get("value", ""):
                return dict(letter)
        return None

    return await until(find)


async def test_a_message_that_can_be_handled_by_now_is_redriven_and_reported(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    request = sync_requested(integration_id, request_id="dead-lettered")
    dead_letter_id = await _dead_letter(client, SYNC_REQUESTS, *wire(request), integration_id)

    assert await client.run("dead-letters", "redrive", dead_letter_id, "--dry-run") == [
        {"id": dead_letter_id, "state": "would_be_sent", "letter": "open", "detail": SYNC_REQUESTS.name}
    ]
    assert await client.run("dead-letters", "redrive", dead_letter_id) == [
        {"id": dead_letter_id, "state": "handled", "letter": "redriven", "detail": ""}
    ]

    assert (await client.ended(team, integration_id, "dead-lettered"))["reconciled"]
    assert dead_letter_id not in [letter["id"] for letter in await client.run("dead-letters", "list")]
    assert "redriven" in [letter["state"] for letter in await client.run("dead-letters", "list", "--all")]


async def test_what_cannot_be_handled_is_counted_and_redriven_three_times_at_most(client: SystemClient) -> None:
    letter = await _poison(client)
    for count in range(1, 4):
        (result,) = await client.run("dead-letters", "redrive", letter["id"], status=1)
        assert (result["state"], result["letter"]) == ("dead_lettered_again", "redriven")
        (letter,) = [
            one
            for one in await client.run("dead-letters", "list", "--reason", "header_missing")
            if one["redrives"] == count
        ]

    (result,) = await client.run("dead-letters", "redrive", letter["id"], status=1)

    assert (result["state"], result["letter"]) == ("too_often", "open")
    assert [one["state"] for one in await client.run("dead-letters", "drop", letter["id"], "--dry-run")] == ["open"]
    assert [one["state"] for one in await client.run("dead-letters", "drop", letter["id"])] == ["dropped"]
    assert letter["id"] not in [one["id"] for one in await client.run("dead-letters", "list")]


async def test_what_may_have_held_a_key_was_not_kept_and_is_not_sent(client: SystemClient) -> None:
    dead_letter_id = await _dead_letter(client, COMMANDS_TOPIC, b"obviously-fake-key", [], "account")

    (result,) = await client.run("dead-letters", "redrive", dead_letter_id, status=1)

    assert result["state"] == "not_kept"
    assert "fake-key" not in json.dumps(await client.run("dead-letters", "show", dead_letter_id))
    await client.run("dead-letters", "drop", dead_letter_id)


@pytest.mark.parametrize("arguments", [("show", "no-such-id"), ("redrive", "no-such-id"), ("drop",)])
async def test_an_unknown_dead_letter_is_an_error_of_usage(client: SystemClient, arguments: tuple[str, ...]) -> None:
    refused = await in_process("dead-letters", *arguments, env=client.environment)

    assert (refused.status, "dead-letters" in refused.stderr) == (2, True)
