"""Messages with every field filled in, and the records that carry them; a test states the fields that it is about."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID, uuid4

from aiokafka import ConsumerRecord
from contract.cloudevents import STRUCTURED, headers_of
from contract.fields import History, Plan, Status, Trigger
from contract.messages import (
    Cost,
    CostRecorded,
    CredentialSealed,
    IntegrationChanged,
    IntegrationRemoved,
    Message,
    SyncCompleted,
    SyncFailed,
    SyncRequested,
    WindowRead,
)
from contract.money import total
from contract.problems import Code
from contract.topics import Topic

C = TypeVar("C", bound=Message)
ACCOUNT = "account-1"
COSTS = {"Chat grok-4-0709": "1.25"}
"""USD of each label."""


def now() -> datetime:
    return datetime.now(UTC)


# states of integrations and credentials


def integration_changed(integration_id: UUID, **fields: Any) -> IntegrationChanged:
    """An active integration whose history is as long as xAI allows."""
    at = now()
    return IntegrationChanged.model_validate(_integration(integration_id, at) | fields)


def integration_removed(integration_id: UUID, **fields: Any) -> IntegrationRemoved:
    """The second version of an integration, removed; its history is kept."""
    at = now()
    removed = {"status": Status.REMOVED, "version": 2, "history": History.KEEP, "removed_at": at}
    return IntegrationRemoved.model_validate(_integration(integration_id, at) | removed | fields)


def _integration(integration_id: UUID, at: datetime) -> dict[str, Any]:
    return {
        "integration_id": integration_id,
        "account_id": ACCOUNT,
        "team_id": f"team-of-{integration_id}",
        "label": "Sample",
        "plan": Plan.PRO,
        "status": Status.ACTIVE,
        "version": 1,
        "credential_version": 1,
        "added_at": at - timedelta(days=100),
        "changed_at": at,
        "history_from": at.date() - timedelta(days=89),
    }


def credential_sealed(integration_id: UUID, **fields: Any) -> CredentialSealed:
    default = {"account_id": ACCOUNT, "credential_version": 1, "wrap_version": 1}
    envelope = {"format": "obviously-fake"}
    return CredentialSealed.model_validate({"integration_id": integration_id, "envelope": envelope} | default | fields)


# requests, costs, outcomes


def sync_requested(integration_id: UUID | str | None = None, **fields: Any) -> SyncRequested:
    """A Force Sync of now; without an integration a request for all of them."""
    default = {"request_id": str(uuid4()), "trigger": Trigger.FORCE, "requested_at": now()}
    return SyncRequested.model_validate({"integration_id": integration_id} | default | fields)


def cost_recorded(
    integration_id: UUID | str, costs: Mapping[str, str | int | Decimal] = COSTS, **fields: Any
) -> CostRecorded:
    """Costs of today, observed now, as a reading of their own."""
    at = now()
    lines = tuple(Cost(label=label, model=label, usd=Decimal(usd)) for label, usd in sorted(costs.items()))
    default = {
        "integration_id": integration_id,
        "account_id": ACCOUNT,
        "day": at.date(),
        "usd": total(line.usd for line in lines),
        "costs": lines,
        "reading_id": uuid4(),
        "observed_at": at,
    }
    return CostRecorded.model_validate(default | fields)


def window_read(*days: CostRecorded, **fields: Any) -> WindowRead:
    """The window of one reading, from the first of `days` to the last; without days it needs its fields."""
    default = _window()
    if days:
        dates = sorted(day.day for day in days)
        names = ("integration_id", "account_id", "reading_id", "observed_at")
        default |= {name: getattr(days[0], name) for name in names} | {"first_day": dates[0], "last_day": dates[-1]}
    totals = {day.day: day.usd for day in days}
    return WindowRead.model_validate(default | {"totals": totals} | fields)


def sync_completed(integration_id: UUID | str, **fields: Any) -> SyncCompleted:
    """A reading of today, reconciled."""
    result = {"integration_id": integration_id, "usd": Decimal(0), "days_changed": 0, "reconciled": True}
    return SyncCompleted.model_validate(_window() | result | fields)


def _window() -> dict[str, Any]:
    at = now()
    return {
        "account_id": ACCOUNT,
        "integration_id": uuid4(),
        "first_day": at.date(),
        "last_day": at.date(),
        "trigger": Trigger.FORCE,
        "request_ids": (str(uuid4()),),
        "reading_id": uuid4(),
        "observed_at": at,
        "credential_version": 1,
    }


def sync_failed(integration_id: UUID | str, code: Code, **fields: Any) -> SyncFailed:
    """The final failure of the first attempt."""
    default = {
        "account_id": ACCOUNT,
        "integration_id": integration_id,
        "trigger": Trigger.FORCE,
        "request_ids": (str(uuid4()),),
        "code": code,
        "final": True,
        "attempts": 1,
        "credential_version": 1,
        "observed_at": now(),
    }
    return SyncFailed.model_validate(default | fields)


# commands


def command_fields(**fields: Any) -> dict[str, Any]:
    """What every command carries; it expires in an hour."""
    return {"command_id": str(uuid4()), "account_id": ACCOUNT, "expires_at": now() + timedelta(hours=1)} | fields


def command(kind: type[C], **fields: Any) -> C:
    return kind.model_validate(command_fields(**fields))


# records

Headers = list[tuple[str, bytes | None]]


def encoded(headers: Mapping[str, str]) -> Headers:
    """Headers as Kafka clients take them."""
    return [(name, value.encode()) for name, value in headers.items()]


def wire(message: Message, *, event_id: str = "", at: datetime | None = None) -> tuple[bytes, Headers]:
    """Value and headers of the record that carries `message`; without `event_id` it has one of its own."""
    headers = headers_of(message, event_id=event_id or str(uuid4()), source="/test", at=at or now())
    return message.model_dump_json().encode(), encoded(headers)


def structured(message: Message, *, event_id: str = "", **members: Any) -> tuple[bytes, Headers]:
    """The same as a structured CloudEvent; `members` of the body of the message are replaced."""
    body = json.loads(message.model_dump_json()) | members
    attributes = {
        "specversion": "1.0",
        "id": event_id or str(uuid4()),
        "type": type(message).__name__,
        "source": "/test",
    }
    headers: Headers = [("content-type", f"{STRUCTURED}; charset=utf-8".encode())]
    return json.dumps(attributes | {"data": body}).encode(), headers


PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
"""A W3C trace context."""
OTHER_PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
"""Another one."""
FOREIGN: Headers = [("x-agent", None), ("x-agent", b"\xff\xfe"), ("", b""), ("traceparent", b"\xff"), ("ce_time", None)]
"""Headers that others add: null, not text, twice, without a name; and two of ours that nothing depends on."""


def record_of(
    topic: Topic, message: Message, *, event_id: str = "", at: datetime | None = None, **fields: Any
) -> ConsumerRecord:
    """The record that carries `message`, as a consumer hands it over."""
    value, headers = wire(message, event_id=event_id, at=at)
    default: dict[str, Any] = {"value": value, "headers": headers, "timestamp": int((at or now()).timestamp() * 1000)}
    return raw_record(topic, **default | fields)


def raw_record(topic: Topic | str, value: bytes | None, headers: Iterable[Any] = (), **fields: Any) -> ConsumerRecord:
    """A record of any bytes."""
    default = {
        "topic": topic.name if isinstance(topic, Topic) else topic,
        "partition": 0,
        "offset": 0,
        "timestamp": 0,
        "timestamp_type": 0,
        "key": b"key",
        "checksum": None,
        "serialized_key_size": 0,
        "serialized_value_size": len(value or b""),
    }
    return ConsumerRecord(**default | {"value": value, "headers": list(headers)} | fields)
