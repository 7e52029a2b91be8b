"""Unreadable records of every kind, for every topic that services consume: one table for all levels of tests."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from contract.access import consumers_of
from contract.cloudevents import STRUCTURED
from contract.messages import Message, RenameIntegration
from contract.topics import (
    COMMANDS_TOPIC,
    COSTS,
    CREDENTIALS,
    INTEGRATIONS,
    SYNC_OUTCOMES,
    SYNC_REQUESTS,
    TOPICS,
    Topic,
)

from tests.support import messages

CONSUMERS: Mapping[Topic, tuple[str, ...]] = {topic: services for topic in TOPICS if (services := consumers_of(topic))}
"""Each topic that services consume, and the services that do."""
SAMPLES: Mapping[Topic, Callable[[], Message]] = {
    COSTS: lambda: messages.cost_recorded(uuid4()),
    INTEGRATIONS: lambda: messages.integration_removed(uuid4()),
    SYNC_REQUESTS: lambda: messages.sync_requested(uuid4()),
    SYNC_OUTCOMES: lambda: messages.sync_completed(uuid4()),
    CREDENTIALS: lambda: messages.credential_sealed(uuid4()),
    COMMANDS_TOPIC: lambda: messages.command(RenameIntegration, integration_id=uuid4(), label="Sample"),
}
"""A valid message of each; every poison is one of them with one thing wrong."""
REQUIRED = {
    COSTS: "usd",
    INTEGRATIONS: "version",
    SYNC_REQUESTS: "requested_at",
    SYNC_OUTCOMES: "usd",
    CREDENTIALS: "wrap_version",
    COMMANDS_TOPIC: "expires_at",
}
"""A required field of each sample that is not free text."""
LEVELS = 100_000
JUST_UNDER_THE_LIMIT = 1_047_000
"""Bytes; a broker accepts 1,048,588 with key and headers, our own publisher 900,000."""
INFLATED = 2_500_000
"""Bytes, decompressed: more than the topic of dead letters accepts."""
SMALL = 10_000
"""Bytes."""
Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Poison:
    """A record that must be dead-lettered."""

    kind: str
    reason: str
    """Of its dead letter."""
    key: bytes
    value: bytes | None
    headers: Headers
    marker: bytes = b""
    """Is part of the value where possible; no log and no error may contain it."""
    inflated: bool = False
    """Is sent compressed, and is larger than any topic accepts."""

    @property
    def is_small(self) -> bool:
        return len(self.value or b"") < SMALL


@dataclass(frozen=True, slots=True)
class Kind:
    """One thing that is wrong: fields of a record, or what makes them of the valid ones and the marker."""

    name: str
    reason: str
    changes: Mapping[str, Any]

    def of(self, topic: Topic) -> Poison:
        message, marker = SAMPLES[topic](), uuid4().hex
        value, headers = messages.wire(message)
        fields = json.loads(value) | {"marker": marker}
        valid = {"key": str(uuid4()).encode(), "value": json.dumps(fields).encode(), "headers": tuple(headers)}
        made = {name: to(valid[name], marker) if callable(to) else to for name, to in self.changes.items()}
        return Poison(self.name, self.reason, **(valid | made), marker=marker.encode())


def unreadable(topic: Topic) -> Iterator[Poison]:
    """One poison of every kind that no consumer of the topic can read."""
    for kinds in (_of_headers, _of_bytes, _of_json, _of_values, _of_tombstones):
        yield from (kind.of(topic) for kind in kinds(topic))


def poisons(topic: Topic) -> Iterator[Poison]:
    """Those, and what only its consumers can refuse."""
    yield from unreadable(topic)
    yield from (kind.of(topic) for kind in _of_consumers(topic))


def _of_headers(topic: Topic) -> Iterator[Kind]:
    other = next(one for one in CONSUMERS if one is not topic).messages[0].__name__
    yield Kind("no headers", "header_missing", {"headers": ()})
    yield Kind("a header that is not text", "header_undecodable", _header("ce_source", b"\xff\xfe"))
    yield Kind("a source that is null", "header_missing", _header("ce_source", None))
    yield Kind(
        "a batch of events", "content_type_unsupported", _header("content-type", b"application/cloudevents-batch+json")
    )
    yield Kind(
        "an event in another format",
        "content_type_unsupported",
        _header("content-type", b"application/cloudevents+avro"),
    )
    yield _body(
        "an event without an envelope", lambda value, _marker: value, **_header("content-type", STRUCTURED.encode())
    )
    yield Kind("an empty type", "header_missing", _header("ce_type", b""))
    yield Kind("an unknown type", "type_unknown", _header("ce_type", b"Unheard"))
    yield Kind("another topic's type", "type_unknown", _header("ce_type", other.encode()))
    yield Kind("an unknown version", "header_unknown", _header("ce_specversion", b"2.0"))
    yield Kind("an ID that is too long", "header_malformed", _header("ce_id", b"x" * 513))


def _header(name: str, value: bytes | None) -> dict[str, Any]:
    def put(headers: Headers, _marker: str) -> Headers:
        return (*(one for one in headers if one[0] != name), (name, value))

    return {"headers": put}


def _of_bytes(topic: Topic) -> Iterator[Kind]:
    yield _body("an empty value", b"")
    yield _body("not JSON", lambda _value, marker: f"<{marker}>".encode())
    yield _body("cut off", lambda value, _marker: value[:-1])
    yield _body("not UTF-8", lambda value, marker: value.replace(marker.encode(), b"\xff"))
    yield _body("as large as a broker accepts", _filled(JUST_UNDER_THE_LIMIT))
    if topic is SYNC_OUTCOMES:  # only there: tests of faults read the other topics often
        yield _body("larger than dead letters may be", _filled(INFLATED), inflated=True)


def _body(name: str, value: Any, **changes: Any) -> Kind:
    return Kind(name, "body_malformed", {"value": value} | changes)


def _filled(size: int) -> Callable[[bytes, str], bytes]:
    return lambda _value, marker: f'{{"marker": "{marker}'.encode().ljust(size, b"x")


def _of_json(_topic: Topic) -> Iterator[Kind]:
    deep = ("[" * LEVELS + "]" * LEVELS).encode()
    yield _body("deep", deep)
    yield _body("deep in an unknown field", _field("extra", deep))
    yield _body("half a character", _field("account_id", rb'"\ud800"'))
    yield _body("a list of itself", lambda value, _marker: b"[" + value + b"]")


def _of_values(topic: Topic) -> Iterator[Kind]:
    field = REQUIRED[topic]
    yield _body("NaN", _field(field, b"NaN"))
    yield _body("infinity", _field(field, b"1e999"))
    yield _body("a field that is null", _field(field, b"null"))
    if field == "usd":
        yield _body("money with 41 digits after the point", _field(field, b'"0.%s1"' % (b"0" * 40)))
        yield _body("money with 16 digits before the point", _field(field, b'"1%s"' % (b"0" * 15)))
        yield _body("money in words", _field(field, b'"NaN"'))


def _field(name: str, text: bytes) -> Callable[[bytes, str], bytes]:
    """Put the field first, with this text as its value; an unknown name is added."""

    def put(value: bytes, _marker: str) -> bytes:
        fields = json.loads(value)
        fields.pop(name, None)
        return b'{"%s": %s, %s' % (name.encode(), text, json.dumps(fields).encode()[1:])

    return put


def _of_tombstones(topic: Topic) -> Iterator[Kind]:
    if topic.tombstones:
        yield Kind("a tombstone with a key that is not text", "key_undecodable", {"value": None, "key": b"\xff"})
    else:
        yield _body("a tombstone", None)


def _of_consumers(topic: Topic) -> Iterator[Kind]:
    if topic is CREDENTIALS:
        yield Kind("a tombstone of no integration", "tombstone_malformed", {"value": None, "key": b"no-uuid"})
