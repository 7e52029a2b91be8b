"""The contract with other programs: the committed documents are generated from the code, and describe what it does."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from common.kafka.dead_letters import DeadLetters
from contract.access import ACCESS
from contract.cloudevents import MalformedError, headers_of
from contract.messages import Message, SyncRequested
from contract.topics import COMMAND_RESULTS, COMMANDS_TOPIC, CREDENTIALS, DEAD_LETTERS, SYNC_REQUESTS, TOPICS, Topic
from grafient.documents import asyncapi, openapi
from grafient.documents.__main__ import files
from grafient.documents.examples import EXAMPLES
from grafient.documents.parties import parties
from jsonschema import Draft202012Validator
from ledger.reports.columns import Profile, focus_columns
from openapi_spec_validator import validate

from tests.ledger.support.ledger import record_of
from tests.support.node import NODE

ROOT = Path(__file__).parents[2]
CHECK = ROOT / "tests" / "node" / "asyncapi.mjs"
ANY_ROUTE = {"401", "403", "404", "408", "413", "422", "429", "500", "503"}
MESSAGES = [message for topic in TOPICS for message in topic.messages]


@pytest.fixture(scope="session")
def messages() -> dict[str, Any]:
    return asyncapi.document()


@pytest.fixture(scope="session")
def apis() -> dict[str, dict[str, Any]]:
    return openapi.documents()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method} {path}", operation


def valid(instance: object, schema: dict[str, Any], document: dict[str, Any]) -> None:
    Draft202012Validator(schema | {"components": document["components"]}).validate(instance)


@pytest.mark.parametrize("name", ["asyncapi.yaml", "openapi-connector.json", "openapi-ledger.json", "metrics.md"])
def test_the_committed_document_is_what_the_code_generates(name: str) -> None:
    committed = ROOT / "docs" / name

    assert committed.read_text(encoding="utf-8") == files()[name], (
        f"docs/{name} is not what the code generates: run `make docs`"
    )


@pytest.mark.parametrize("service", ["connector", "ledger"])
def test_an_api_is_described_in_valid_openapi(apis: dict[str, dict[str, Any]], service: str) -> None:
    validate(apis[service])


@pytest.mark.system  # in Node
async def test_the_messages_are_described_in_valid_asyncapi(messages: dict[str, Any], tmp_path: Path) -> None:
    described = tmp_path / "asyncapi.yaml"
    described.write_text(yaml.safe_dump(messages))
    checking = await asyncio.create_subprocess_exec(
        str(NODE), str(CHECK), str(described), stdout=asyncio.subprocess.PIPE
    )
    wrong, _ = await checking.communicate()

    assert checking.returncode == 0, wrong.decode()


@pytest.mark.parametrize("service", ["connector", "ledger"])
def test_every_operation_needs_a_token_and_names_its_failures(apis: dict[str, dict[str, Any]], service: str) -> None:
    for name, operation in operations(apis[service]):
        assert operation["security"], name
        assert set(operation["responses"]) >= ANY_ROUTE, name


def test_no_answer_of_an_api_has_a_place_for_a_key(apis: dict[str, dict[str, Any]]) -> None:
    for document in apis.values():
        asked = {name for _, operation in operations(document) for name in _named(operation.get("requestBody"))}
        shown = {name: schema for name, schema in document["components"]["schemas"].items() if name not in asked}
        assert "management_key" not in json.dumps(shown)


def _named(part: object) -> set[str]:
    """The schemas that `part` of a document refers to."""
    return {one.split('"')[0] for one in json.dumps(part).split("#/components/schemas/")[1:]}


def _schemas(part: object) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(part, dict):
        yield part
    for one in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _schemas(one)


@pytest.mark.parametrize("service", ["connector", "ledger"])
def test_generators_find_types_names_and_groups(apis: dict[str, dict[str, Any]], service: str) -> None:
    document = apis[service]
    choices = [
        one for one in _schemas(document) if isinstance(one.get("enum"), list) or isinstance(one.get("const"), str)
    ]

    assert not {"Code", "Error", "History", "Status", "Syncs"} & set(document["components"]["schemas"])
    assert [one for one in choices if one.get("type") != "string"] == []
    assert "writeOnly" not in json.dumps(document)
    for name, operation in operations(document):
        assert len(operation["tags"]) == 1, name
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/problem"}, name


def test_the_header_of_a_resumed_stream_is_written_as_it_is_sent(apis: dict[str, dict[str, Any]]) -> None:
    follow = dict(operations(apis["connector"]))["get /v1/accounts/{account_id}/events"]

    assert [one["name"] for one in follow["parameters"] if one["in"] == "header"] == ["Last-Event-ID"]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_the_example_of_a_message_can_be_read_and_fits_its_schema(
    message: type[Message], messages: dict[str, Any]
) -> None:
    described = messages["components"]["messages"][message.__name__]
    (example,) = described["examples"]

    assert message.model_validate_json(json.dumps(example["payload"])) == message.model_validate(EXAMPLES[message])
    valid(example["payload"], described["payload"], messages)
    valid(example["headers"], described["headers"], messages)


def test_headers_as_they_are_sent_are_described(messages: dict[str, Any]) -> None:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    sent = headers_of(SyncRequested.model_validate(EXAMPLES[SyncRequested]), event_id="1", source="/test", at=at)
    described = messages["components"]["schemas"]["CloudEvent"]

    valid(sent, described, messages)
    assert set(sent) <= set(described["properties"])


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", None])
def test_a_content_type_may_have_parameters_or_be_absent(content_type: str | None, messages: dict[str, Any]) -> None:
    attributes = {"ce_specversion": "1.0", "ce_id": "1", "ce_type": "SyncRequested", "ce_source": "/my-web-app"}
    sent = attributes | ({"content-type": content_type} if content_type else {})

    valid(sent, messages["components"]["schemas"]["CloudEvent"], messages)


def test_generators_find_a_name_for_every_body_and_no_default_that_does_not_compile(messages: dict[str, Any]) -> None:
    assert all("$ref" in message["payload"] for message in messages["components"]["messages"].values())
    assert ": []" not in json.dumps(messages["components"]["schemas"])
    assert "choose the\n  class by it, never by trying" in messages["info"]["description"]


def test_the_key_of_commands_and_of_their_results_is_the_account(messages: dict[str, Any]) -> None:
    keys = {
        name: messages["components"]["messages"][name]["bindings"]["kafka"]["key"]["description"]
        for topic in (COMMANDS_TOPIC, COMMAND_RESULTS)
        for name in topic.types
    }

    assert set(keys.values()) == {"The `account_id`."}


class Kept:
    def __init__(self) -> None:
        self.headers: dict[str, str] = {}

    async def send(self, _topic: Topic, _body: bytes | None, *, key: bytes, headers: dict[str, str]) -> None:
        assert key
        self.headers = headers


@pytest.mark.parametrize("topic", [SYNC_REQUESTS, CREDENTIALS], ids=lambda topic: topic.name)
async def test_the_headers_of_a_dead_letter_are_described(topic: Topic, messages: dict[str, Any]) -> None:
    kept = Kept()
    record = record_of(SyncRequested.model_validate(EXAMPLES[SyncRequested]))
    await DeadLetters(kept, "test").put(record, topic, MalformedError("reason", "detail"))  # type: ignore[arg-type]  # it has the methods that are used
    described = messages["components"]["schemas"]["DeadLetterHeaders"]

    valid(kept.headers, described, messages)
    assert set(kept.headers) <= set(described["properties"])


def test_every_message_has_who_sends_and_who_receives_it() -> None:
    sent = {message for party in parties() for carried in party.sends.values() for message in carried}
    received = {message for party in parties() for carried in party.receives.values() for message in carried}

    assert sent >= set(MESSAGES)
    assert received >= set(MESSAGES)


def test_what_is_sent_and_received_is_what_the_broker_lets_everybody_do() -> None:
    described = {party.name: (set(party.receives), set(party.sends)) for party in parties() if party.name in ACCESS}

    assert described == {name: (set(access.reads), set(access.writes)) for name, access in ACCESS.items()}


def test_web_apps_write_requests_only_and_never_see_a_credential() -> None:
    (web_app,) = [party for party in parties() if party.name == "webapp"]

    assert set(web_app.sends) == {COMMANDS_TOPIC, SYNC_REQUESTS}
    assert not {COMMANDS_TOPIC, CREDENTIALS, DEAD_LETTERS} & set(web_app.receives)
    assert [party.name for party in parties() if CREDENTIALS in party.receives] == ["syncer"]
    assert [party.name for party in parties() if CREDENTIALS in party.sends] == ["connector"]


def test_the_page_about_focus_names_every_column_with_its_version() -> None:
    page = (ROOT / "docs" / "focus.md").read_text()
    rows = [row.split(" | ") for row in page.splitlines() if row.startswith("| ") and " | " in row][1:]
    described = {name: row[1] for row in rows for name in row[0].removeprefix("| ").split(", ")}
    columns = {profile.value: set(focus_columns(profile)) for profile in Profile}
    every = columns["1.2"] | columns["1.4"]

    assert described == {
        name: "both" if name in columns["1.2"] & columns["1.4"] else "1.2" if name in columns["1.2"] else "1.4"
        for name in every
    }
