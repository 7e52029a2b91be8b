"""Messages on the wire: CloudEvents 1.0 in Kafka's binary mode, both ways; structured JSON is read, too."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Generic, NamedTuple, Protocol, TypeVar

from pydantic import Base64Bytes, StringConstraints, ValidationError

from contract.fields import rfc3339
from contract.messages import Cost, Message
from contract.topics import Topic
from contract.tracing import trace_headers, trace_of

M_co = TypeVar("M_co", bound=Message, covariant=True)
M = TypeVar("M", bound=Message)

READ_HEADERS = ("ce_specversion", "ce_id", "ce_type", "ce_source", "content-type", "traceparent", "credential_version")
"""All others may hold anything, or nothing: agents and frameworks add their own."""
REQUIRED_HEADERS = ("ce_specversion", "ce_id", "ce_type", "ce_source")
STRUCTURED = "application/cloudevents+json"
UNREADABLE_NAME = "\udcff"
"""In place of a header name that is not UTF-8 text: no text holds this character."""
MAX_ERRORS = 5
MAX_ID_LENGTH = 512
MARKER_KEY = "00000000-0000-0000-0000-000000000000"
"""Reserved key of the hourly markers on topics that are purged by compaction; no integration has it."""


class Record(Protocol):
    """A record as a Kafka client hands it over, without deserializers."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970, UTC."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None:
        """None: a tombstone."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class MalformedError(Exception):
    """Never retry: the message is dead-lettered with `reason`, and the next one is handled."""

    def __init__(self, reason: str, detail: str, fields: tuple[str, ...] = ()) -> None:
        """`reason` is a stable word, `detail` a sentence, `fields` what is wrong; none holds a value of the message."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.fields = fields


REASONS = (
    "header_undecodable",
    "header_missing",
    "header_unknown",
    "header_malformed",
    "content_type_unsupported",
    "type_unknown",
    "body_malformed",
    "key_undecodable",
    "timestamp_malformed",
    "tombstone_malformed",
)
"""Every reason of a MalformedError."""


class Tombstone(Message):
    """A record without a value on a compacted topic: what its key names is deleted."""

    key: str
    headers: dict[str, str]


class Marker(Message):
    """A record with the reserved key: it only makes the broker roll a segment."""


Attribute = Annotated[str, StringConstraints(min_length=1)]


class CloudEvent(Message):
    """A structured CloudEvent: the envelope is part of the record's value."""

    specversion: Attribute
    id: Attribute
    type: Attribute
    source: Attribute
    traceparent: str | None = None
    data: Any = None
    """The message; some clients write it as text, or as bytes in the next field."""
    data_base64: Base64Bytes | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The attributes under the names that they have in binary mode."""
        traced = {"traceparent": self.traceparent} if self.traceparent else {}
        return {f"ce_{name}": getattr(self, name) for name in ("specversion", "id", "type", "source")} | traced

    @property
    def body(self) -> bytes:
        """The message as JSON."""
        if self.data is None:
            return self.data_base64 or b""
        return self.data.encode() if isinstance(self.data, str) else json.dumps(self.data).encode()


class Event(NamedTuple, Generic[M_co]):
    """A message with the envelope in which it came."""

    message: M_co
    event_id: str
    """`ce_id`: equal for every copy of the same event."""
    recorded_at: datetime
    """Kafka's own timestamp of the record, UTC."""
    traceparent: str | None = None
    source: str = ""
    """`ce_source`: the program that published it."""


def headers_of(message: Message, *, event_id: str, source: str, at: datetime) -> dict[str, str]:
    """CloudEvents headers of `message`; `at` is when the event happened, so that a second copy has equal bytes."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_type": type(message).__name__,
        "ce_source": source,
        "ce_time": rfc3339(at),
        "content-type": "application/json",
    }
    return headers | trace_headers()


def decode(record: Record, topic: Topic) -> Event[Message]:
    """The event that `record` of `topic` carries; raises MalformedError, which names the reason and never a value."""
    every, body = dict(record.headers), record.value or b""
    headers, at = _headers(every), _recorded_at(record)
    if topic.tombstones and record.key == MARKER_KEY.encode():
        return Event(Marker(), "", at)
    if topic.tombstones and record.value is None:
        return Event(Tombstone(key=_key(record), headers=headers), "", at)
    if _is_structured(every, body):
        event = _parse(CloudEvent, body)
        headers, body = headers | event.headers, event.body
    _check_envelope(headers)
    model = topic.types.get(headers["ce_type"])
    if model is None:
        raise MalformedError("type_unknown", f"{topic.name} carries {', '.join(topic.types)}")
    return Event(_parse(model, body), headers["ce_id"], at, trace_of(headers), headers["ce_source"])


def lenient_headers(record: Record) -> dict[str, str]:
    """Every header as text, whatever it holds; the last one counts where a name comes twice."""
    return {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}


def body_of(record: Record) -> bytes:
    """The message in `record`, valid or not: its value, or the data of a structured CloudEvent. Raises MalformedError."""
    value = record.value or b""
    return _parse(CloudEvent, value).body if _is_structured(dict(record.headers), value) else value


def _is_structured(headers: Mapping[str, bytes | None], value: bytes) -> bool:
    """Whether the envelope is in the value. Any other content type, or none, means JSON with the envelope in headers."""
    content_type = headers.get("content-type") or b""
    if content_type == b"application/json" and headers.get("ce_specversion"):  # nearly every record
        return False
    kind = content_type.decode("utf-8", "replace").partition(";")[0].strip().lower()
    if kind.startswith("application/cloudevents-batch"):
        raise MalformedError(
            "content_type_unsupported", "batched CloudEvents are not read: send each in its own record"
        )
    if kind.startswith("application/cloudevents") and kind != STRUCTURED:
        raise MalformedError("content_type_unsupported", f"of structured CloudEvents only {STRUCTURED} is read")
    # Python's SDK before 2.0 puts the type of the data there.
    return kind == STRUCTURED or (not headers.get("ce_specversion") and b'"specversion"' in value)


def _recorded_at(record: Record) -> datetime:
    try:
        return _instant(record.timestamp)
    except (ValueError, OverflowError, OSError):
        raise MalformedError("timestamp_malformed", "the record's timestamp is outside the calendar") from None


_instant = lru_cache(maxsize=256)(lambda milliseconds: datetime.fromtimestamp(milliseconds / 1000, UTC))


def _headers(every: Mapping[str, bytes | None]) -> dict[str, str]:
    """The headers that are read; the last one counts where a name comes twice, and null is absent."""
    if UNREADABLE_NAME in every:
        raise MalformedError("header_undecodable", "the name of a header is not UTF-8 text")
    read = [(name, value) for name in READ_HEADERS if (value := every.get(name)) is not None]
    try:
        return {name: value.decode() for name, value in read}
    except UnicodeDecodeError:
        return {name: _text(name, value) for name, value in read}


def _text(name: str, value: bytes) -> str:
    """A trace context that cannot be read is ignored, as the W3C demands."""
    try:
        return value.decode("utf-8", "replace" if name == "traceparent" else "strict")
    except UnicodeDecodeError:
        raise MalformedError("header_undecodable", f"{name} is not UTF-8 text") from None


def _key(record: Record) -> str:
    try:
        return (record.key or b"").decode()
    except UnicodeDecodeError:
        raise MalformedError("key_undecodable", "the key is not UTF-8 text") from None


def _check_envelope(headers: Mapping[str, str]) -> None:
    if not all(map(headers.get, REQUIRED_HEADERS)):
        missing = [name for name in REQUIRED_HEADERS if not headers.get(name)]
        raise MalformedError("header_missing", f"missing: {', '.join(missing)}")
    if not headers["ce_specversion"].startswith("1."):
        raise MalformedError("header_unknown", "ce_specversion is not 1.x")
    if len(headers["ce_id"]) > MAX_ID_LENGTH or "\x00" in headers["ce_id"]:
        raise MalformedError("header_malformed", f"ce_id has more than {MAX_ID_LENGTH} characters or a NUL")


def _parse(model: type[M], body: bytes) -> M:
    try:
        return model.read(body)
    except ValidationError as error:
        errors = error.errors(include_input=False, include_url=False, include_context=False)[:MAX_ERRORS]
        known = {*model.model_fields, *Cost.model_fields}
        fields = tuple(_field(one["loc"], known) for one in errors)
        wrong = "; ".join(f"{field}: {one['type']}" for field, one in zip(fields, errors, strict=True))
        raise MalformedError("body_malformed", f"not a {model.__name__}: {wrong}", fields) from None


def _field(loc: tuple[int | str, ...], known: set[str]) -> str:
    """The path of a wrong field: declared names and indexes; the keys of a mapping are values of the message."""
    return ".".join(str(part) if isinstance(part, int) or part in known else "*" for part in loc)
