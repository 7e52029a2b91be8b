"""What a record looks like: key, headers and body of each message."""

from collections.abc import Iterator
from datetime import datetime
from inspect import getdoc
from typing import Any

from common.kafka.dead_letters import MAX_DETAIL
from contract.cloudevents import MARKER_KEY, MAX_ID_LENGTH, TRACEPARENT, headers_of
from contract.messages import Message
from contract.topics import ALL, COMMANDS_TOPIC, CREDENTIALS, DEAD_LETTERS, SYNC_REQUESTS, TOPICS, Topic
from pydantic.json_schema import models_json_schema

from grafient.documents.examples import AT, EXAMPLES
from grafient.documents.parties import parties

Json = dict[str, Any]

BINDING = {"bindingVersion": "0.5.0"}
"""Of AsyncAPI's bindings for Kafka."""
TEXT: Json = {"type": "string"}
DIGITS: Json = {"type": "string", "pattern": "^[0-9]+$"}
UUID: Json = {"type": "string", "format": "uuid"}
INTEGRATION_KEY = UUID | {"description": "The `integration_id`."}
KEYS: dict[Topic, Json] = {
    COMMANDS_TOPIC: TEXT | {"description": "The `account_id`."},
    SYNC_REQUESTS: {
        "description": "The `integration_id`, or the word for all active integrations.",
        "oneOf": [UUID, {"type": "string", "const": ALL}],
    },
}
CLOUD_EVENT: Json = {
    "type": "object",
    "description": "CloudEvents 1.0 in Kafka's binary mode: each attribute is a header, its value UTF-8 text.",
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
        "ce_time": {"type": "string", "format": "date-time", "description": "When what it tells happened."},
        "content-type": {"type": "string", "const": "application/json"},
        "traceparent": {
            "type": "string",
            "pattern": f"^{TRACEPARENT.pattern}$",
            "description": "W3C trace context; carried on to whatever the message leads to.",
        },
    },
}
DEAD_LETTER: Json = {
    "type": "object",
    "required": [
        "dead_letter_id",
        "dead_letter_service",
        "dead_letter_topic",
        "dead_letter_partition",
        "dead_letter_offset",
        "dead_letter_timestamp_ms",
        "dead_letter_reason",
        "dead_letter_detail",
        "dead_letter_attempts",
    ],
    "properties": {
        "dead_letter_id": TEXT | {"description": "`<service>:<topic>:<partition>:<offset>`: equal for every copy."},
        "dead_letter_service": TEXT | {"description": "Who gave it up."},
        "dead_letter_topic": TEXT | {"description": "Where it was."},
        "dead_letter_partition": DIGITS,
        "dead_letter_offset": DIGITS,
        "dead_letter_timestamp_ms": {"type": "string", "pattern": "^-?[0-9]+$", "description": "Of the record."},
        "dead_letter_reason": TEXT | {"description": "A stable word.", "examples": ["body_malformed"]},
        "dead_letter_detail": TEXT
        | {"maxLength": MAX_DETAIL, "description": "A sentence without a value of the record."},
        "dead_letter_attempts": DIGITS,
        "dead_letter_redrives": DIGITS | {"description": "How often it was sent to its topic again."},
        "dead_letter_headers": TEXT
        | {"description": "Where the record was kept: its headers, a JSON list of `[name, base64]`."},
        "dead_letter_key": TEXT
        | {"description": "Where the record was kept: its key in base64; empty where it had none."},
        "dead_letter_value": {
            "enum": ["bytes", "null"],
            "description": "Where the record was kept: whether it had a value, which then is this record's own, byte for byte.",
        },
        "dead_letter_size": DIGITS | {"description": "Where only a fingerprint was kept: bytes of the value."},
        "dead_letter_sha256": {
            "type": "string",
            "pattern": "^[0-9a-f]{64}$",
            "description": "Where only a fingerprint was kept: SHA-256 of the value in hex.",
        },
    },
}


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
    return dict(sorted((made["$defs"] | {"CloudEvent": CLOUD_EVENT, "DeadLetterHeaders": DEAD_LETTER}).items()))


def _message(message: type[Message], key: Json) -> Json:
    name = message.__name__
    typed = {"type": "object", "properties": {"ce_type": {"type": "string", "const": name}}}
    return {
        "name": name,
        "title": name,
        "summary": getdoc(message),
        "contentType": "application/json",
        "headers": {"allOf": [{"$ref": "#/components/schemas/CloudEvent"}, typed]},
        "payload": {"$ref": f"#/components/schemas/{name}"},
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
        "payload": {"type": "null"},
        "bindings": _key(INTEGRATION_KEY),
    }


def _marker() -> Json:
    return {
        "name": "Marker",
        "title": "Marker",
        "summary": "Written to each partition every hour, so that the broker rolls the segment and purges. To be ignored.",
        "payload": {"type": "object"},
        "bindings": _key({"type": "string", "const": MARKER_KEY}),
    }


def _dead_letter() -> Json:
    return {
        "name": "DeadLetter",
        "title": "Dead letter",
        "summary": "A record as it came, or where it may hold a key or is too large, nothing of it.",
        "contentType": "application/octet-stream",
        "headers": {"$ref": "#/components/schemas/DeadLetterHeaders"},
        "payload": {"type": "string", "format": "binary"},
        "bindings": _key(
            TEXT | {"description": "The record's own key, or the letter's ID where it had none or was not kept."}
        ),
    }


def _key(schema: Json) -> Json:
    return {"kafka": {"key": schema, **BINDING}}
