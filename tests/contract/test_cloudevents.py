"""CloudEvents on the wire: out and in again, and every malformed way has a reason without a value."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from contract.cloudevents import MARKER_KEY, MalformedError, Marker, Tombstone, body_of, decode, headers_of
from contract.fields import Trigger
from contract.messages import SyncRequested
from contract.topics import COSTS, CREDENTIALS, SYNC_REQUESTS, Topic

from tests.support.messages import FOREIGN, PARENT, encoded, raw_record
from tests.support.poison import CONSUMERS, unreadable

AT = datetime(2026, 11, 20, 6, tzinfo=UTC)
MESSAGE = SyncRequested(request_id="1", trigger=Trigger.FORCE, requested_at=AT)
VALUE = "obviously-fake-value"


def record(topic: Topic = SYNC_REQUESTS, **parts: Any) -> ConsumerRecord:
    changed = parts.pop("changed", {})
    headers = headers_of(MESSAGE, event_id="event-1", source="/test", at=AT) | changed
    pairs = encoded({name: value for name, value in headers.items() if value is not None})
    default: dict[str, Any] = {
        "value": MESSAGE.model_dump_json().encode(),
        "headers": pairs,
        "timestamp": 1_790_000_000_000,
    }
    return raw_record(topic, **default | parts)


def test_a_message_is_written_as_a_cloud_event_and_read_again() -> None:
    assert headers_of(MESSAGE, event_id="event-1", source="/grafient/cli", at=AT + timedelta(hours=0)) == {
        "ce_specversion": "1.0",
        "ce_id": "event-1",
        "ce_type": "SyncRequested",
        "ce_source": "/grafient/cli",
        "ce_time": "2026-11-20T06:00:00.000000Z",
        "content-type": "application/json",
    }
    event = decode(record(), SYNC_REQUESTS)
    assert (event.message, event.event_id) == (MESSAGE, "event-1")
    assert event.recorded_at == datetime.fromtimestamp(1_790_000_000, UTC)


@pytest.mark.parametrize(("sent", "carried"), [(PARENT, PARENT), (VALUE, None), ("0" * 100_000, None)])
def test_an_event_has_its_trace_if_it_is_one(sent: str, carried: str | None) -> None:
    assert decode(record(changed={"traceparent": sent}), SYNC_REQUESTS).traceparent == carried


BODY = json.loads(MESSAGE.model_dump_json())


def test_headers_of_others_may_hold_anything() -> None:
    sent = record()

    event = decode(raw_record(SYNC_REQUESTS, sent.value, [*FOREIGN, *sent.headers, *FOREIGN]), SYNC_REQUESTS)

    assert (event.message, event.event_id) == (MESSAGE, "event-1")


@pytest.mark.parametrize("name", ["ce_specversion", "ce_id", "ce_type", "ce_source", "content-type"])
def test_the_reason_names_the_header_that_cannot_be_read(name: str) -> None:
    headers = [*FOREIGN, *record().headers, (name, VALUE.encode() + b"\xff")]

    with pytest.raises(MalformedError, match=f"header_undecodable: {name} is not UTF-8 text"):
        decode(record(headers=headers), SYNC_REQUESTS)


def test_the_last_one_counts_of_a_header_that_comes_twice() -> None:
    event = decode(record(headers=[("ce_id", b"first"), *record().headers, ("ce_id", b"last")]), SYNC_REQUESTS)

    assert event.event_id == "last"


ENVELOPE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "event-1",
    "type": "SyncRequested",
    "source": "/my-web-app",
    "time": "2026-11-20T06:00:00Z",
    "partitionkey": "key",
    "traceparent": PARENT,
}
WRITTEN_BY = {
    "Java": ("application/cloudevents+json", {"datacontenttype": "application/json", "data": BODY}),
    "Java, data of no type": (
        "application/cloudevents+json",
        {"data_base64": b64encode(json.dumps(BODY).encode()).decode()},
    ),
    "JavaScript": ("application/cloudevents+json; charset=utf-8", {"data": BODY}),
    "JavaScript, data as text": ("application/cloudevents+json; charset=utf-8", {"data": json.dumps(BODY)}),
    "Python 2": ("application/cloudevents+json", {"data": BODY}),
    "Python 1": ("application/json", {"data": BODY}),
    "Python 1, data of no type": (None, {"data": BODY}),
    "in capitals": ("Application/CloudEvents+JSON", {"data": BODY}),
}
"""Content type, and how the data is written."""


def structured(content_type: str | None, **members: Any) -> ConsumerRecord:
    headers = [*FOREIGN, *encoded({"content-type": content_type} if content_type else {})]
    return record(value=json.dumps(ENVELOPE | members).encode(), headers=headers)


@pytest.mark.parametrize("client", WRITTEN_BY)
def test_a_structured_event_is_read_as_other_clients_write_it(client: str) -> None:
    content_type, data = WRITTEN_BY[client]
    event = decode(structured(content_type, **data), SYNC_REQUESTS)

    assert (event.message, event.event_id, event.traceparent) == (MESSAGE, "event-1", PARENT)
    assert json.loads(body_of(structured(content_type, **data))) == BODY


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"data": BODY, "id": None}, "body_malformed: not a CloudEvent: id"),
        ({"data": BODY, "type": ""}, "body_malformed: not a CloudEvent: type"),
        ({"data": BODY, "type": VALUE}, "type_unknown"),
        ({"data": BODY, "specversion": "2.0"}, "header_unknown"),
        ({"data": BODY, "id": "x" * 513}, "header_malformed: ce_id"),
        ({"data": BODY | {"requested_at": VALUE}}, "body_malformed: not a SyncRequested: requested_at"),
        ({"data_base64": f"{VALUE}!"}, "body_malformed: not a CloudEvent: data_base64"),
        ({}, "body_malformed: not a SyncRequested"),
    ],
)
def test_a_malformed_structured_event_has_a_reason_without_a_value(members: dict[str, Any], reason: str) -> None:
    with pytest.raises(MalformedError, match=reason) as refused:
        decode(structured("application/cloudevents+json", **members), SYNC_REQUESTS)

    assert VALUE not in str(refused.value)


@pytest.mark.parametrize(
    "content_type", [None, "", "application/json", "application/json; charset=utf-8", "text/plain"]
)
def test_the_content_type_of_a_binary_event_changes_nothing(content_type: str | None) -> None:
    assert decode(record(changed={"content-type": content_type}), SYNC_REQUESTS).message == MESSAGE


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"headers": [("ce_id", VALUE.encode() + b"\xff")]}, "header_undecodable"),
        ({"changed": {"ce_source": None}}, "header_missing"),
        ({"changed": {"ce_id": ""}}, "header_missing"),
        ({"changed": {"ce_id": VALUE * 100}}, "header_malformed"),
        ({"changed": {"ce_id": f"{VALUE}\0"}}, "header_malformed"),
        ({"changed": {"ce_specversion": VALUE}}, "header_unknown"),
        ({"changed": {"ce_type": VALUE}}, "type_unknown"),
        ({"timestamp": 2**62}, "timestamp_malformed"),
        ({"value": VALUE.encode()}, "body_malformed"),
        ({"value": json.dumps(BODY | {"trigger": VALUE}).encode()}, "body_malformed"),
        ({"value": json.dumps(BODY | {"requested_at": VALUE}).encode()}, "body_malformed"),
    ],
)
def test_what_is_malformed_has_a_reason_without_a_value(parts: dict[str, Any], reason: str) -> None:
    with pytest.raises(MalformedError) as refused:
        decode(record(**parts), SYNC_REQUESTS)

    assert refused.value.reason == reason
    assert VALUE not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("topic", CONSUMERS, ids=lambda topic: topic.name)
def test_every_kind_of_poison_has_its_reason_and_reveals_no_value(topic: Topic) -> None:
    for poison in unreadable(topic):
        with pytest.raises(MalformedError) as refused:
            decode(raw_record(topic, poison.value, poison.headers, key=poison.key), topic)

        assert (poison.kind, refused.value.reason) == (poison.kind, poison.reason)
        assert poison.marker.decode() not in str(refused.value)


@pytest.mark.parametrize(
    ("topic", "name", "body"),
    [
        (COSTS, "WindowRead", {"totals": {VALUE: "1", "2026-11-01": VALUE}}),
        (COSTS, "CostRecorded", {"costs": [{VALUE: 1}]}),
        (CREDENTIALS, "CredentialSealed", {"envelope": {VALUE: 1}}),
    ],
)
def test_the_keys_of_a_mapping_are_values_too(topic: Topic, name: str, body: dict[str, Any]) -> None:
    malformed = record(topic, changed={"ce_type": name}, value=json.dumps(body).encode())

    with pytest.raises(MalformedError) as refused:
        decode(malformed, topic)
    assert VALUE not in str(refused.value)


def test_a_record_without_a_value_means_that_a_credential_was_removed() -> None:
    event = decode(record(CREDENTIALS, value=None, headers=[("credential_version", b"3")]), CREDENTIALS)
    assert event.message == Tombstone(key="key", headers={"credential_version": "3"})
    with pytest.raises(MalformedError, match="key_undecodable"):
        decode(record(CREDENTIALS, value=None, key=b"\xff", headers=[]), CREDENTIALS)


def test_a_marker_is_no_credential() -> None:
    marker = record(CREDENTIALS, key=MARKER_KEY.encode(), value=b"", headers=[])
    assert decode(marker, CREDENTIALS).message == Marker()
