"""Why a command is rejected, in a sentence that names the field and the next step, and never a value."""

import json
from typing import Any
from uuid import uuid4

import pytest
from connector.commands.rejections import DETAILS, FIELDS, Sender, detail_of, of_unreadable, sender_of
from contract.cloudevents import MalformedError, decode
from contract.messages import COMMANDS, AddIntegration, Command, RemoveIntegration
from contract.problems import CAUSES, Code, ProblemError, cause_of
from contract.topics import COMMANDS_TOPIC

from tests.support.messages import ACCOUNT, command, command_fields, encoded, raw_record, structured, wire

KEY = "xai-token-" + "obviously-fake" * 6
ADD = command(AddIntegration, team_id="team", plan="free", sealed_key="v1.x.x.x")
REMOVE = command(RemoveIntegration, integration_id=uuid4(), history="keep")


def unreadable(command: Command, value: bytes | None = None, *, key: str = "", **changes: Any) -> Any:
    """The record of a command with some members changed, or with another value, and why it cannot be read."""
    body, headers = wire(command, event_id=command.command_id)
    members = json.loads(body) | changes
    body = json.dumps({name: member for name, member in members.items() if member != "left out"}).encode()
    return unreadable_record(raw_record(COMMANDS_TOPIC, body if value is None else value, headers, key=key.encode()))


def unreadable_record(record: Any) -> Any:
    with pytest.raises(MalformedError) as error:
        decode(record, COMMANDS_TOPIC)
    return record, error.value


def sentence(command: Command, value: bytes | None = None, **changes: Any) -> str:
    rejection = of_unreadable(*unreadable(command, value, **changes))
    assert rejection.code is Code.REQUEST_MALFORMED
    return rejection.detail


def test_every_field_of_a_command_has_its_rule_in_words() -> None:
    assert {name for kind in COMMANDS for name in kind.model_fields} == FIELDS.keys()


@pytest.mark.parametrize(
    ("what", "changes", "named"),
    [
        (ADD, {"plan": "gold"}, "plan is missing or wrong: it has to be one of free, pro, ultimate."),
        (ADD, {"plan": "left out"}, "plan is missing or wrong"),
        (REMOVE, {"history": "burn"}, "history is missing or wrong: it has to be one of keep, erase."),
        (REMOVE, {"integration_id": "mine"}, "integration_id is missing or wrong: it has to be the integration's UUID"),
        (ADD, {"label": "", "expires_at": "tomorrow"}, "expires_at is missing or wrong: it has to be an instant"),
        (ADD, {"sealed_key": {"deep": 1}}, "sealed_key is missing or wrong: it has to be the sealed key as text."),
    ],
)
def test_what_is_wrong_is_named_with_its_rule_and_the_next_step(what: Command, changes: Any, named: str) -> None:
    assert named in sentence(what, **changes)
    assert sentence(what, **changes).endswith("Send the command again, with a new command ID.")


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"\xff", b'"text"', b"{'a': 1}", b"[" * 10_000])
def test_a_body_that_is_no_object_is_called_that(value: bytes) -> None:
    assert sentence(ADD, value).startswith("The record's value is not a JSON object in UTF-8.")


def test_a_broken_envelope_is_named() -> None:
    record = raw_record(COMMANDS_TOPIC, b"{}", encoded({"ce_id": "one"}))
    error = MalformedError("header_missing", "missing: ce_type")

    assert "missing: ce_type" in of_unreadable(record, error).detail


@pytest.mark.parametrize("code", DETAILS)
def test_a_code_that_is_about_http_has_a_sentence_for_commands(code: Code) -> None:
    assert detail_of(ProblemError(code)) == DETAILS[code] != cause_of(code).detail


@pytest.mark.parametrize("code", [code for code in CAUSES if code not in DETAILS])
def test_a_detail_can_be_read_without_its_code(code: Code) -> None:
    assert detail_of(ProblemError(code)) == f"{cause_of(code).title}. {cause_of(code).detail}"


def test_a_sentence_that_is_surer_than_the_codes_own_is_kept_and_hints_follow() -> None:
    problem = ProblemError(Code.KEY_REFUSED, "No.", hints=["Is it xai-?", "Swapped?"])

    assert detail_of(problem) == "xAI does not accept this key. No. Is it xai-? Swapped?"


def test_the_integration_is_named_where_the_command_names_it() -> None:
    assert of_unreadable(*unreadable(REMOVE, history="burn")).integration_id == REMOVE.integration_id
    assert of_unreadable(*unreadable(REMOVE, integration_id="mine")).integration_id is None


def test_a_type_that_no_command_has_is_answered_with_those_that_there_are() -> None:
    error = MalformedError("type_unknown", "of the topic")

    assert of_unreadable(raw_record(COMMANDS_TOPIC, b"{}"), error).detail.startswith(
        "ce_type is none of AddIntegration, "
    )


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"plan": 7}, Sender(ACCOUNT, "one")),
        ({"account_id": "a/b"}, Sender("of-the-key", "one")),
        ({"account_id": "left out", "command_id": 7}, Sender("of-the-key", "one")),
        ({"command_id": "x" * 201}, Sender(ACCOUNT, "one")),
        ({"plan": 7, "account_id": KEY[:64]}, None),
        ({"plan": 7, "command_id": KEY}, None),
    ],
)
def test_the_sender_is_read_from_the_body_or_else_from_the_envelope(changes: Any, found: Sender | None) -> None:
    add = ADD.model_copy(update=command_fields(command_id="one"))

    assert sender_of(*unreadable(add, key="of-the-key", **changes)) == found


def test_the_sender_of_a_structured_event_is_read_from_its_attributes() -> None:
    value, headers = structured(ADD, event_id="one", command_id=7, account_id=7)
    record = raw_record(COMMANDS_TOPIC, value, headers, key=ACCOUNT.encode())
    error = MalformedError("body_malformed", "not a AddIntegration", ("command_id",))

    assert sender_of(record, error) == Sender(ACCOUNT, "one")


def test_a_structured_event_without_its_attributes_is_called_that() -> None:
    rejection = of_unreadable(*unreadable_record(raw_record(COMMANDS_TOPIC, b'{"specversion": "1.0"}')))

    assert "not a CloudEvent: id: missing" in rejection.detail


@pytest.mark.parametrize("key", [b"", b"a/b", b"\xff", None])
def test_a_broken_body_without_an_account_names_no_sender(key: bytes | None) -> None:
    record, error = unreadable(ADD, b"{")

    assert sender_of(raw_record(COMMANDS_TOPIC, b"{", record.headers, key=key), error) is None


def test_a_broken_envelope_names_no_sender_for_its_values_may_be_in_the_wrong_place() -> None:
    record = raw_record(COMMANDS_TOPIC, b"{", encoded({"ce_id": "one"}), key=b"may-be-a-key")

    assert sender_of(record, MalformedError("header_missing", "missing: ce_type")) is None


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (None, {"plan": 7, "sealed_key": "obviously-fake-key-in-the-clear"}),
        (None, {"sealed_key": "left out", "management_key": "obviously fake"}),
        (None, {"sealed_key": [KEY]}),
        (None, {"plan": 7, "label": KEY}),
        (f'{{"sealed_key": "{KEY}'.encode(), {}),
    ],
)
def test_a_key_in_the_clear_is_what_the_answer_is_about(value: bytes | None, changes: Any) -> None:
    rejection = of_unreadable(*unreadable(ADD, value, **changes))

    assert rejection.code is Code.KEY_EXPOSED
    assert "revoke it in the xAI Console" in rejection.detail
