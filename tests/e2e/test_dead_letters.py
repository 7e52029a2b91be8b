"""Dead letters can be looked at, sent again and dropped; no record circulates without end."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from common.kafka.client import make_broker
from common.kafka.dead_letters import DeadLetters
from common.kafka.publisher import Publisher
from common.settings import KafkaSettings
from common.watchdog import Watchdog
from contract.cloudevents import MalformedError, headers_of
from contract.fields import Trigger
from contract.messages import SyncRequested
from contract.topics import COMMANDS_TOPIC, SYNC_REQUESTS, Topic

from tests.support.commands import in_process
from tests.support.system import SystemClient
from tests.support.waiting import until


async def _run(world: SystemClient, *arguments: str, status: int = 0) -> Any:
    return (await in_process("dead-letters", *arguments, "--json", env=world.environment)).json(status=status)


async def _dead_letter(world: SystemClient, topic: Topic, value: bytes, headers: dict[str, str], key: str) -> str:
    """Dead-letter a record as the syncer does; returns the dead letter's ID."""
    pairs = [(name, text.encode()) for name, text in headers.items()]
    record = ConsumerRecord(topic.name, 0, uuid.uuid4().int >> 80, 0, 0, key.encode(), value, None, 0, 0, pairs)
    broker = make_broker(KafkaSettings(kafka_bootstrap_servers=world.address.kafka), "test")
    async with broker:
        await broker.connect()
        dead_letters = DeadLetters(Publisher(broker, "syncer", Watchdog()), "syncer")
        await dead_letters.put(record, topic, MalformedError("handler_failed", "an unknown bug"))
    return f"syncer:{topic.name}:0:{record.offset}"


async def _poison(world: SystemClient) -> dict[str, str]:
    """The open dead letter of an unreadable record."""
    marker = uuid.uuid4().hex
    await world.publish(SYNC_REQUESTS.name, marker, b"{" + marker.encode(), {"ce_type": marker.encode()})

    async def find() -> dict[str, str] | None:
        for letter in await _run(world, "list", "--topic", SYNC_REQUESTS.name, "--reason", "header_missing"):
            if marker in (await _run(world, "show", letter["id"])).get("value", ""):
                return dict(letter)
        return None

    return await until(find)


async def test_a_message_that_can_be_handled_by_now_is_sent_again_and_reported(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    now = datetime.now(UTC)
    wish = SyncRequested(
        request_id="given-up", trigger=Trigger.FORCE, integration_id=uuid.UUID(integration_id), requested_at=now
    )
    headers = headers_of(wish, event_id="given-up", source="/test", at=now)
    dead_letter_id = await _dead_letter(world, SYNC_REQUESTS, wish.model_dump_json().encode(), headers, integration_id)

    assert await _run(world, "redrive", dead_letter_id, "--dry-run") == [
        {"id": dead_letter_id, "state": "would_be_sent", "letter": "open", "detail": SYNC_REQUESTS.name}
    ]
    assert await _run(world, "redrive", dead_letter_id) == [
        {"id": dead_letter_id, "state": "handled", "letter": "redriven", "detail": ""}
    ]

    assert (await world.ended(team, integration_id, "given-up"))["reconciled"]
    assert dead_letter_id not in [letter["id"] for letter in await _run(world, "list")]
    assert "redriven" in [letter["state"] for letter in await _run(world, "list", "--all")]


async def test_what_cannot_be_handled_comes_back_counted_and_does_not_circulate_without_end(
    world: SystemClient,
) -> None:
    letter = await _poison(world)
    for count in range(1, 4):
        (result,) = await _run(world, "redrive", letter["id"], status=1)
        assert (result["state"], result["letter"]) == ("dead_lettered_again", "redriven")
        (letter,) = [
            one for one in await _run(world, "list", "--reason", "header_missing") if one["redrives"] == str(count)
        ]

    (result,) = await _run(world, "redrive", letter["id"], status=1)

    assert (result["state"], result["letter"]) == ("too_often", "open")
    assert [one["state"] for one in await _run(world, "drop", letter["id"], "--dry-run")] == ["open"]
    assert [one["state"] for one in await _run(world, "drop", letter["id"])] == ["dropped"]
    assert letter["id"] not in [one["id"] for one in await _run(world, "list")]


async def test_what_may_have_held_a_key_was_not_kept_and_is_not_sent(world: SystemClient) -> None:
    dead_letter_id = await _dead_letter(world, COMMANDS_TOPIC, b"obviously-fake-key", {}, "account")

    (result,) = await _run(world, "redrive", dead_letter_id, status=1)

    assert result["state"] == "not_kept"
    assert "fake-key" not in json.dumps(await _run(world, "show", dead_letter_id))
    await _run(world, "drop", dead_letter_id)


@pytest.mark.parametrize("arguments", [("show", "no-such-id"), ("redrive", "no-such-id"), ("drop",)])
async def test_an_unknown_dead_letter_is_named(world: SystemClient, arguments: tuple[str, ...]) -> None:
    failed = await in_process("dead-letters", *arguments, env=world.environment)

    assert failed.status == 2
    assert "dead-letters" in failed.stderr
