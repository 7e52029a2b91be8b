"""Messages of every kind that nobody can read, for every topic that the services consume; good ones to stand beside them."""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from contract.cloudevents import headers_of
from contract.fields import History, Plan, Status, Trigger
from contract.messages import (
    Cost,
    CostRecorded,
    CredentialSealed,
    IntegrationRemoved,
    Message,
    RenameIntegration,
    SyncCompleted,
    SyncRequested,
    WindowRead,
)
from contract.topics import COMMANDS_TOPIC, COSTS, CREDENTIALS, INTEGRATIONS, SYNC_OUTCOMES, SYNC_REQUESTS, Topic

CONSUMERS: Mapping[Topic, tuple[str, ...]] = {
    COSTS: ("ledger",),
    INTEGRATIONS: ("syncer", "ledger"),
    SYNC_REQUESTS: ("syncer",),
    SYNC_OUTCOMES: ("connector", "syncer"),
    CREDENTIALS: ("syncer",),
    COMMANDS_TOPIC: ("connector",),
}
"""Each topic that services consume, and which do."""
LEVELS = 100_000
JUST_UNDER_THE_LIMIT = 1_047_000
"""Bytes; a broker takes 1,048,588 with key and headers, our own publisher 900,000."""
INFLATED = 2_500_000
"""Bytes of a record that came compressed: more than the topic of dead letters takes."""
Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Poison:
    """A record that is to end as a dead letter."""

    kind: str
    reason: str
    """Of its dead letter."""
    key: bytes
    value: bytes | None
    headers: Headers
    marker: bytes = b""
    """Stands in the value where there is room; no log may hold it."""
    inflated: bool = False
    """It is sent compressed, and is larger than any topic takes."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose integration a good outcome is about: an outcome of nobody leaves no trace."""

    integration_id: UUID
    account_id: str


@dataclass(frozen=True, slots=True)
class Good:
    """A message that can be handled, and the row that shows that it was."""

    message: Message
    key: str
    event_id: str
    tables: tuple[str, ...]
    """It leaves one row in each."""
    column: str
    """In which `shown` stands."""
    shown: str

    @property
    def headers(self) -> Headers:
        found = headers_of(self.message, event_id=self.event_id, source="/test", at=datetime.now(UTC))
        return tuple((name, text.encode()) for name, text in found.items())

    @property
    def value(self) -> bytes:
        return self.message.model_dump_json().encode()


TABLES = {
    COSTS: (("ledger.days",), "integration_id"),
    INTEGRATIONS: (("syncer.integrations", "ledger.integrations"), "integration_id"),
    SYNC_REQUESTS: (("syncer.requests",), "request_id"),
    SYNC_OUTCOMES: (("connector.syncs",), "event_id"),
    CREDENTIALS: (("syncer.credentials",), "integration_id"),
    COMMANDS_TOPIC: (("connector.commands",), "command_id"),
}


def good(topic: Topic, owner: Owner) -> Good:
    """A message of `topic` about nobody, or (an outcome) about something long known: it changes no figure."""
    nobody, event_id, now = uuid4(), uuid.uuid4().hex, datetime.now(UTC)
    tables, column = TABLES[topic]
    shown = str(nobody) if column == "integration_id" else event_id
    return Good(_messages(nobody, event_id, owner, now)[topic], str(nobody), event_id, tables, column, shown)


def plain(message: Message, key: str) -> Good:
    """A message that leaves no row of its own."""
    return Good(message, key, uuid.uuid4().hex, (), "", "")


def window_of(day: CostRecorded) -> WindowRead:
    """A reading of that day alone."""
    fields = day.model_dump(include={"account_id", "integration_id", "reading_id", "observed_at"})
    asked = {"first_day": day.day, "last_day": day.day, "trigger": Trigger.FORCE, "request_ids": (uuid.uuid4().hex,)}
    return WindowRead(**fields, **asked, totals={day.day: day.usd}, credential_version=1)


def otherwise(topic: Topic, said: Good) -> Good:
    """The same message by its ID, which says something else."""
    changes: dict[Topic, dict[str, Any]] = {
        COSTS: {"usd": Decimal(1), "costs": (Cost(label="a", model="a", usd=Decimal(1)),)},
        INTEGRATIONS: {"label": "Another"},
        SYNC_REQUESTS: {"trigger": Trigger.BACKFILL},
        SYNC_OUTCOMES: {"usd": Decimal(1)},
        CREDENTIALS: {"envelope": {"format": "another"}},
        COMMANDS_TOPIC: {"label": "Another"},
    }
    return replace(said, message=said.message.model_copy(update=changes[topic]))


def _messages(nobody: UUID, event_id: str, owner: Owner, now: datetime) -> dict[Topic, Message]:
    account_id, today = f"nobody-{nobody.hex[:12]}", now.date()
    an_hour_ago, in_an_hour = now - timedelta(hours=1), now + timedelta(hours=1)
    return {
        COSTS: CostRecorded(
            account_id=account_id,
            integration_id=nobody,
            day=today,
            usd=0,
            costs=(),
            reading_id=uuid4(),
            observed_at=now,
        ),
        INTEGRATIONS: IntegrationRemoved(
            integration_id=nobody,
            account_id=account_id,
            team_id=str(nobody),
            label="Nobody",
            plan=Plan.FREE,
            status=Status.REMOVED,
            version=1,
            credential_version=1,
            history=History.KEEP,
            added_at=an_hour_ago,
            removed_at=now,
            history_from=today,
            changed_at=now,
        ),
        SYNC_REQUESTS: SyncRequested(
            request_id=event_id, trigger=Trigger.FORCE, integration_id=nobody, requested_at=now
        ),
        SYNC_OUTCOMES: SyncCompleted(
            account_id=owner.account_id,
            integration_id=owner.integration_id,
            first_day=today,
            last_day=today,
            trigger=Trigger.FORCE,
            request_ids=(event_id,),
            reading_id=uuid4(),
            observed_at=an_hour_ago,
            credential_version=1,
            usd=0,
            days_changed=0,
            reconciled=True,
        ),
        CREDENTIALS: CredentialSealed(
            integration_id=nobody,
            account_id=account_id,
            credential_version=1,
            wrap_version=1,
            envelope={"format": "none"},
        ),
        COMMANDS_TOPIC: RenameIntegration(
            command_id=event_id, account_id=account_id, integration_id=nobody, label="Nobody", expires_at=in_an_hour
        ),
    }


NOT_A_NUMBER = {
    COSTS: "usd",
    INTEGRATIONS: "version",
    SYNC_REQUESTS: "requested_at",
    SYNC_OUTCOMES: "usd",
    CREDENTIALS: "wrap_version",
    COMMANDS_TOPIC: "expires_at",
}
"""A field of each topic's good message; it is not optional."""


def poisons(topic: Topic, owner: Owner) -> Iterator[Poison]:
    """One of every kind; each holds all that a good message of `topic` holds, but for what makes it unreadable."""
    for made in (_of_its_headers, _of_its_bytes, _of_its_json, _of_its_values):
        for kind, reason, changes in made(topic, owner):
            yield _poison(topic, owner, kind, reason, changes)
    if topic is CREDENTIALS:
        named = _poison(topic, owner, "a tombstone of no integration", "tombstone_malformed", {"value": None})
        yield replace(named, key=b"no-uuid")
        yield replace(named, kind="a tombstone whose key is not text", reason="key_undecodable", key=b"\xff")


Changes = dict[str, Any]
"""Of a poison's fields."""
Kinds = Iterator[tuple[str, str, Changes]]


def _poison(topic: Topic, owner: Owner, kind: str, reason: str, changes: Changes) -> Poison:
    sample, marker = good(topic, owner), uuid.uuid4().hex
    fields = sample.message.model_dump(mode="json") | {"marker": marker}
    known = {"key": sample.key.encode(), "value": json.dumps(fields).encode(), "headers": sample.headers}
    made = {name: to(known[name], marker) if callable(to) else to for name, to in changes.items()}
    return Poison(kind, reason, **(known | made), marker=marker.encode())


def _of_its_headers(topic: Topic, _owner: Owner) -> Kinds:
    other = next(one for one in CONSUMERS if one is not topic).messages[0].__name__
    yield "no headers", "header_missing", {"headers": ()}
    yield "a header that is not text", "header_undecodable", _header("ce_source", b"\xff\xfe")
    yield "a header that is null", "header_undecodable", _header("x", None)
    yield "an empty type", "header_missing", _header("ce_type", b"")
    yield "an unknown type", "type_unknown", _header("ce_type", b"Unheard")
    yield "another topic's type", "type_unknown", _header("ce_type", other.encode())
    yield "an unknown version", "header_unknown", _header("ce_specversion", b"2.0")
    yield "an ID that is too long", "header_malformed", _header("ce_id", b"x" * 513)


def _header(name: str, value: bytes | None) -> Changes:
    def put(headers: Headers, _marker: str) -> Headers:
        return (*(one for one in headers if one[0] != name), (name, value))

    return {"headers": put}


def _of_its_bytes(topic: Topic, _owner: Owner) -> Kinds:
    yield "an empty value", "body_malformed", {"value": b""}
    yield "not JSON", "body_malformed", {"value": lambda _value, marker: f"<{marker}>".encode()}
    yield "cut off", "body_malformed", {"value": lambda value, _marker: value[:-1]}
    yield "not UTF-8", "body_malformed", {"value": lambda value, marker: value.replace(marker.encode(), b"\xff")}
    yield "as large as a broker takes", "body_malformed", {"value": _filled(JUST_UNDER_THE_LIMIT)}
    if not topic.tombstones:
        yield "a tombstone", "body_malformed", {"value": None}
    if topic is SYNC_OUTCOMES:  # once: such records are read again with each look at how requests ended
        yield "larger than dead letters take", "body_malformed", {"value": _filled(INFLATED), "inflated": True}


def _filled(size: int) -> Any:
    return lambda _value, marker: f'{{"marker": "{marker}'.encode().ljust(size, b"x")


def _of_its_json(_topic: Topic, _owner: Owner) -> Kinds:
    deep = ("[" * LEVELS + "]" * LEVELS).encode()
    yield "deep", "body_malformed", {"value": deep}
    yield "deep in a field that nobody reads", "body_malformed", _field("extra", deep)
    yield "half a character", "body_malformed", _field("account_id", rb'"\ud800"')
    yield "a list of itself", "body_malformed", {"value": lambda value, _marker: b"[" + value + b"]"}


def _of_its_values(topic: Topic, _owner: Owner) -> Kinds:
    field = NOT_A_NUMBER[topic]
    later = json.dumps(str(datetime.now(UTC) + timedelta(hours=2))).encode()
    yield "NaN", "body_malformed", _field(field, b"NaN")
    yield "infinity", "body_malformed", _field(field, b"1e999")
    yield "a field that is null", "body_malformed", _field(field, b"null")
    if field == "usd":
        yield "money with 41 digits after the point", "body_malformed", _field(field, b'"0.%s1"' % (b"0" * 40))
        yield "money with 16 digits before the point", "body_malformed", _field(field, b'"1%s"' % (b"0" * 15))
        yield "money in words", "body_malformed", _field(field, b'"NaN"')
    if topic is SYNC_REQUESTS:
        yield "from two hours ahead", "requested_in_future", _field(field, later)


def _field(name: str, text: bytes) -> Changes:
    """The field once, with another text behind its name; a name that is not there is added."""

    def put(value: bytes, _marker: str) -> bytes:
        fields = json.loads(value)
        fields.pop(name, None)
        return b'{"%s": %s, %s' % (name.encode(), text, json.dumps(fields).encode()[1:])

    return {"value": put}
