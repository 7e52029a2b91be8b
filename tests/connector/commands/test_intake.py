"""What is taken, what is rejected at once, and what is kept of it: never a key in the clear."""

import json
from typing import Any
from uuid import uuid4

import pytest
from connector.outbox.relay import Markers
from contract.fields import Plan
from contract.messages import Command

from tests.connector.support.commands import PLAIN_KEY, Office, change_plan, rename


def body_of(command: Command, **changes: Any) -> bytes:
    fields = json.loads(command.model_dump_json()) | changes
    return json.dumps({name: value for name, value in fields.items() if value != "left out"}).encode()


@pytest.mark.parametrize(
    ("changes", "code", "names"),
    [
        ({"team_id": "team/../else"}, "team_malformed", "Team ID"),
        ({"team_id": "t" * 10_000}, "team_malformed", "Team ID"),
        ({"team_id": "team/1", "plan": "gold"}, "request_malformed", "plan"),
        ({"team_id": 7}, "request_malformed", "team_id"),
        ({"team_id": "left out"}, "request_malformed", "team_id"),
        ({"label": "a\u0000b"}, "request_malformed", "label"),
        ({"label": "l" * 257}, "request_malformed", "label"),
        ({"expires_at": "2026-11-20T00:00:00"}, "request_malformed", "expires_at"),
        ({"sealed_key": "left out"}, "request_malformed", "sealed_key"),
        ({"sealed_key": "left out", "management_key": PLAIN_KEY}, "request_malformed", "sealed_key"),
        ({"sealed_key": [PLAIN_KEY]}, "request_malformed", "sealed_key"),
    ],
)
async def test_a_command_that_cannot_be_read_is_rejected_once(
    office: Office, changes: dict[str, Any], code: str, names: str
) -> None:
    body = body_of(office.add("one"), **changes)

    assert await office.arrives_raw("AddIntegration", body) is not None
    await office.arrives_raw("AddIntegration", body)
    await office.settled()

    assert office.code("one") == code
    assert names in office.result("one").detail
    assert PLAIN_KEY not in await office.kept() + str(office.told())


async def test_half_a_character_in_a_label_is_answered_as_well(office: Office) -> None:
    body = body_of(office.add("one"), label="LABEL").replace(b"LABEL", b"a\\ud800b")

    await office.arrives_raw("AddIntegration", body)
    await office.settled()

    assert office.code("one") == "request_malformed"


async def test_a_command_that_nobody_knows_is_rejected(office: Office) -> None:
    await office.arrives_raw("DoubleIntegration", body_of(change_plan("one", Plan.PRO)))
    await office.settled()

    assert office.code("one") == "request_malformed"
    assert "AddIntegration" in office.result("one").detail


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"command_id": "one", "account_id": "a/b"}', b"[" * 10_000]
)
async def test_nobody_is_answered_where_nobody_can_be_read(office: Office, body: bytes) -> None:
    assert await office.arrives_raw("ChangePlan", body) is not None

    assert await office.world.sql("SELECT 1 FROM commands") == []


@pytest.mark.parametrize("text", [PLAIN_KEY, f"v1.{PLAIN_KEY}", f"v1.one.{PLAIN_KEY}.{PLAIN_KEY}"])
async def test_a_key_in_the_clear_is_kept_nowhere(office: Office, text: str) -> None:
    integration_id = await office.connected()
    added = body_of(office.add("one"), sealed_key=text, management_key=PLAIN_KEY)
    replaced = body_of(office.replace("two", integration_id, "good"), sealed_key=text)

    for kind, body in (("AddIntegration", added), ("ReplaceCredential", replaced)):
        assert await office.arrives_raw(kind, body) is None
        assert PLAIN_KEY not in await office.kept()
    await office.settled()

    assert (office.code("one"), office.code("two")) == ("unsealable", "unsealable")
    assert PLAIN_KEY not in await office.kept() + str(office.told())


async def test_a_further_field_with_a_key_is_not_kept(office: Office) -> None:
    await office.arrives_raw("AddIntegration", body_of(office.add("one"), management_key=PLAIN_KEY))

    assert PLAIN_KEY not in await office.kept()
    await office.settled()
    assert office.code("one") is None


async def test_what_was_asked_for_is_forgotten_when_it_is_done(office: Office) -> None:
    added, renamed = office.add("one"), rename("two", uuid4(), "Confidential")
    await office.arrives(added, renamed)
    assert added.sealed_key in await office.kept()

    await office.settled()

    assert added.sealed_key not in await office.kept()
    assert "Confidential" not in await office.kept()


async def test_commands_are_forgotten_when_they_can_come_no_more(office: Office) -> None:
    await office.arrives(*(change_plan(name, Plan.PRO) for name in ("old", "recent", "untold")))
    await office.settled()
    await office.world.sql(
        "UPDATE commands SET received_at = received_at - interval '30 days 1 minute' WHERE command_id <> 'recent'"
    )
    await office.world.sql("UPDATE commands SET published_at = NULL WHERE command_id = 'untold'")

    await Markers(office.world.database, office.world.publisher).round()  # type: ignore[arg-type]  # it speaks the same

    assert await office.world.sql("SELECT command_id FROM commands ORDER BY 1") == [("recent",), ("untold",)]
