"""What is accepted, what is rejected at once, and what is stored of it: never a key in the clear."""

import json
from typing import Any
from uuid import uuid4

import pytest
from common.kafka.failure_policy import UNKNOWN
from contract.cloudevents import MalformedError
from contract.messages import Command
from contract.topics import COMMANDS_TOPIC

from tests.connector.support.commands import PLAIN_KEY, CommandsHarness, change_plan, rename
from tests.support.messages import ACCOUNT, FOREIGN, record_of, structured


def body_of(command: Command, **changes: Any) -> bytes:
    fields = json.loads(command.model_dump_json()) | changes
    return json.dumps({name: value for name, value in fields.items() if value != "left out"}).encode()


@pytest.mark.parametrize(
    ("changes", "code", "names"),
    [
        ({"team_id": "t\u0000"}, "team_malformed", "Team ID"),
        ({"team_id": "t" * 10_000}, "team_malformed", "Team ID"),
        ({"team_id": "t" * 201, "plan": "gold"}, "request_malformed", "plan"),
        ({"team_id": 7}, "request_malformed", "team_id"),
        ({"team_id": "left out"}, "request_malformed", "team_id"),
        ({"label": "a\u0000b"}, "request_malformed", "label"),
        ({"label": "a\ud800b"}, "request_malformed", ""),
        ({"label": "l" * 257}, "request_malformed", "label"),
        ({"expires_at": "2026-11-20T00:00:00"}, "request_malformed", "expires_at"),
        ({"sealed_key": "left out"}, "request_malformed", "sealed_key"),
        ({"sealed_key": "left out", "management_key": PLAIN_KEY}, "key_exposed", "revoke it"),
        ({"plan": "gold", "sealed_key": PLAIN_KEY}, "key_exposed", "revoke it"),
        ({"label": 7, "note": f"the key is xai-{'o' * 80}"}, "key_exposed", "revoke it"),
        ({"sealed_key": [PLAIN_KEY]}, "request_malformed", "sealed_key"),
    ],
)
async def test_a_command_that_cannot_be_read_is_rejected_once(
    commands: CommandsHarness, changes: dict[str, Any], code: str, names: str
) -> None:
    body = body_of(commands.add("one"), **changes)

    assert await commands.send_raw("AddIntegration", body) is not None
    await commands.send_raw("AddIntegration", body)
    await commands.work()

    assert commands.code("one") == code
    assert names in commands.result("one").detail
    assert commands.answered == [True, True]
    assert PLAIN_KEY not in await commands.stored() + str(commands.results())


async def test_a_command_of_an_unknown_type_is_rejected(commands: CommandsHarness) -> None:
    await commands.send_raw("DoubleIntegration", body_of(change_plan("one")))
    await commands.work()

    assert commands.code("one") == "request_malformed"
    assert "AddIntegration" in commands.result("one").detail


@pytest.mark.parametrize(("label", "code"), [("Sample", None), ("l" * 257, "request_malformed")])
async def test_a_structured_command_is_done_or_answered_like_any_other(
    commands: CommandsHarness, label: str, code: str | None
) -> None:
    body, headers = structured(commands.add("one"), label=label)

    await commands.send_raw("", body, [*FOREIGN, *headers])
    await commands.work()

    assert commands.code("one") == code


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"command_id": "one", "account_id": "a/b"}', b"[" * 10_000]
)
async def test_what_names_no_sender_is_not_answered(commands: CommandsHarness, body: bytes) -> None:
    assert await commands.send_raw("ChangePlan", body) is not None

    assert commands.answered == [False], "its dead letter stays open: an operator looks for the program"
    assert await commands.connector.sql("SELECT 1 FROM commands") == []


@pytest.mark.parametrize(
    "body", [None, b"", b"{", b'"{}"', b"[]", b"{'command_id': 'one'}", b'{"command_id": ["one"]}']
)
async def test_a_broken_body_is_answered_by_its_envelope(commands: CommandsHarness, body: bytes | None) -> None:
    await commands.send_raw("ChangePlan", body, key=ACCOUNT, event_id="one")
    await commands.work()

    assert commands.code("one") == "request_malformed"
    assert commands.result("one").account_id == ACCOUNT
    assert commands.answered == [True]


async def test_a_bug_is_answered_and_stays_open(commands: CommandsHarness) -> None:
    record = record_of(COMMANDS_TOPIC, change_plan("one"))
    bug = MalformedError(UNKNOWN, "ValueError")

    assert await commands.first.intake.reject_unreadable(record, bug) is False

    await commands.work()
    assert commands.code("one") == "internal"


@pytest.mark.parametrize("text", [PLAIN_KEY, f"v1.{PLAIN_KEY}", f"v1.one.{PLAIN_KEY}.{PLAIN_KEY}"])
async def test_a_key_in_the_clear_is_stored_nowhere(commands: CommandsHarness, text: str) -> None:
    integration_id = await commands.connected()
    added = body_of(commands.add("one"), sealed_key=text, management_key=PLAIN_KEY)
    replaced = body_of(commands.replace("two", integration_id, "good"), sealed_key=text)

    for kind, body in (("AddIntegration", added), ("ReplaceCredential", replaced)):
        assert await commands.send_raw(kind, body) is None
        assert PLAIN_KEY not in await commands.stored()
    await commands.work()

    assert (commands.code("one"), commands.code("two")) == ("key_exposed", "key_exposed")
    assert PLAIN_KEY not in await commands.stored() + str(commands.results())


async def test_a_key_in_an_additional_field_is_not_stored(commands: CommandsHarness) -> None:
    await commands.send_raw("AddIntegration", body_of(commands.add("one"), management_key=PLAIN_KEY))

    assert PLAIN_KEY not in await commands.stored()
    await commands.work()
    assert commands.code("one") is None


async def test_the_content_of_a_command_is_deleted_when_it_is_done(commands: CommandsHarness) -> None:
    added, renamed = commands.add("one"), rename("two", uuid4(), "Confidential")
    await commands.send(added, renamed)
    assert added.sealed_key in await commands.stored()

    await commands.work()

    assert added.sealed_key not in await commands.stored()
    assert "Confidential" not in await commands.stored()
