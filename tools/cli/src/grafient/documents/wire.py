"""What a record looks like: key, headers and body of each message."""

from collections.abc import Iterator
from datetime import datetime
from inspect import getdoc
from typing import Any

from contract.cloudevents import MARKER_KEY, MAX_ID_LENGTH, STRUCTURED, headers_of
from contract.dead_letters import DIGITS, DeadLetterHeaders
from contract.messages import Message
from contract.topics import (
    ALL,
    CREDENTIALS,
    DEAD_LETTERS,
    SYNC_REQUESTS,
    TOPICS,
    Topic,
)
from contract.tracing import TRACEPARENT
from pydantic.json_schema import models_json_schema

from grafient.documents.examples import AT, EXAMPLES
from grafient.documents.parties import parties

Json = dict[str, Any]

BINDING = {"bindingVersion": "0.5.0"}
"""Of AsyncAPI's bindings for Kafka."""
TEXT: Json = {"type": "string"}
UUID: Json = {"type": "string", "format": "uuid"}
INTEGRATION_KEY = UUID | {"description": "The `integration_id`."}
ACCOUNT_KEY = TEXT | {"description": "The `account_id`."}
KEYS: dict[Topic, Json] = {topic: ACCOUNT_KEY for topic in TOPICS if topic.keyed_by == "account_id"} | {
    SYNC_REQUESTS: {
        "description": "The `integration_id`, or the word for all active integrations.",
        "oneOf": [UUID, {"type": "string", "const": ALL}],
    },
}
CLOUD_EVENT: Json = {
    "type": "object",
    "description": "CloudEvents 1.0 in Kafka's binary mode: each attribute is a header, its value UTF-8 text. Any other "
    "header may hold anything: pass over it.",
    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source"],
    "properties": {
        "ce_specversion": {"type": "string", "pattern": r"^1\.", "examples": ["1.0"]},
        "ce_id": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_ID_LENGTH,
            "description": "Equal for every copy of the same event: deduplicate by it.",
        },
        "ce_type": {"type": "string", "description": "The message's name."},
        "ce_source": {"type": "string", "minLength": 1, "examples": ["/my-web-app"]},
        "ce_time": {"type": "string", "format": "date-time", "description": "When the event happened."},
        "content-type": TEXT
        | {
            "description": "Not required. Parameters are allowed, and the value is JSON in any case; only "
            f"`{STRUCTURED}` means that the value holds the attributes, and the message in `data`.",
            "examples": ["application/json", "application/json; charset=utf-8"],
        },
        "traceparent": {
            "type": "string",
            "pattern": f"^{TRACEPARENT.pattern}$",
            "description": "W3C trace context; carried on to whatever the message leads to.",
        },
    },
}
BODIES: dict[str, Json] = {
    "Tombstone": {"type": "null"},
    "Marker": {"type": "object"},
    "DeadLetter": {"type": "string", "format": "binary"},
}
"""Named, so that generators have a name for their classes."""


def messages() -> Iterator[tuple[str, Json]]:
    """Every message by its name, in the order of the topics."""
    for topic in TOPICS:
        yield from messages_of(topic).items()


def messages_of(topic: Topic) -> dict[str, Json]:
    """What `topic` carries, by name."""
    carried = {message.__name__: _message(message, KEYS.get(topic, INTEGRATION_KEY)) for message in topic.messages}
    if topic is CREDENTIALS:
        carried |= {"Tombstone": _tombstone(), "Marker": _marker()}
    if topic is DEAD_LETTERS:
        carried |= {"DeadLetter": _dead_letter()}
    return carried


def schemas() -> dict[str, Json]:
    """JSON schemas of all bodies, and of the headers, by name."""
    every = [(message, "validation") for topic in TOPICS for message in topic.messages]
    _, made = models_json_schema(every, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type] # a literal
    for schema in made["$defs"].values():
        for field in schema.get("properties", {}).values():
            if field.get("default") == []:  # no generator for Java compiles it
                del field["default"]
    headers = {"CloudEvent": CLOUD_EVENT, "DeadLetterHeaders": DeadLetterHeaders.model_json_schema()}
    return dict(sorted((made["$defs"] | BODIES | headers).items()))


def _message(message: type[Message], key: Json) -> Json:
    name = message.__name__
    typed = {"type": "object", "properties": {"ce_type": {"type": "string", "const": name}}}
    return {
        "name": name,
        "title": name,
        "summary": getdoc(message),
        "contentType": "application/json",
        "headers": {"allOf": [{"$ref": "#/components/schemas/CloudEvent"}, typed]},
        "payload": _body(name),
        "bindings": _key(key),
        "examples": [_example(message)],
    }


def _example(message: type[Message]) -> Json:
    parsed = message.model_validate(EXAMPLES[message])
    headers = headers_of(parsed, event_id="event-1", source=_source(message), at=datetime.fromisoformat(AT))
    return {"headers": headers, "payload": parsed.model_dump(mode="json")}


def _source(message: type[Message]) -> str:
    sender = next(one for one in parties() if any(message in sent for sent in one.sends.values()))
    return f"/grafient/{sender.name}" if sender.is_service else "/my-web-app"


def _tombstone() -> Json:
    return {
        "name": "Tombstone",
        "title": "Tombstone",
        "summary": "A record without a value: the credential is gone. A version below the one that is held is ignored.",
        "headers": {"type": "object", "required": ["credential_version"], "properties": {"credential_version": DIGITS}},
        "payload": _body("Tombstone"),
        "bindings": _key(INTEGRATION_KEY),
    }


def _marker() -> Json:
    return {
        "name": "Marker",
        "title": "Marker",
        "summary": "Written to each partition every hour, so that the broker rolls the segment and purges. To be ignored.",
        "payload": _body("Marker"),
        "bindings": _key({"type": "string", "const": MARKER_KEY}),
    }


def _dead_letter() -> Json:
    return {
        "name": "DeadLetter",
        "title": "Dead letter",
        "summary": "A record as it came, or where it may hold a key or is too large, nothing of it.",
        "contentType": "application/octet-stream",
        "headers": {"$ref": "#/components/schemas/DeadLetterHeaders"},
        "payload": _body("DeadLetter"),
        "bindings": _key(
            TEXT | {"description": "The record's own key, or the letter's ID where it had none or was not kept."}
        ),
    }


def _body(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _key(schema: Json) -> Json:
    return {"kafka": {"key": schema, **BINDING}}
