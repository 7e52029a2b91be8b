"""Spans of records: which trace they are in, and what they hand on."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from common.kafka.publisher import Outgoing
from common.kafka.spans import sending, traced
from contract.cloudevents import Event
from contract.topics import COSTS, SYNC_OUTCOMES
from contract.tracing import traceparent

from tests.support.messages import sync_requested
from tests.support.tracing import recording

ONE, OTHER = (f"00-{digit * 32}-{digit * 16}-01" for digit in "12")
RECORD = Outgoing(COSTS, b"{}", b"fake-key", {"ce_type": "CostRecorded"})
GROUP = "ledger.xai.costs.v1"


def _record(trace: str | None) -> Outgoing:
    return replace(RECORD, headers={**RECORD.headers, "traceparent": trace}) if trace else RECORD


def _event(trace: str | None) -> Event[Any]:
    return Event(sync_requested(), "1", datetime.now(UTC), trace)


class Handling:
    """What a handler saw."""

    def __init__(self) -> None:
        self.traces: list[str | None] = []
        self.carried: str | None = None

    async def handle(self, events: Sequence[Event[Any]]) -> None:
        self.traces = [event.traceparent for event in events]
        self.carried = traceparent.get()


def test_records_of_one_trace_are_sent_in_one_span_and_name_it_as_their_parent() -> None:
    with recording() as collector, sending([_record(ONE), _record(ONE), _record(OTHER)]) as sent:
        pass

    (one,) = collector.trace("1" * 32)
    (other,) = collector.trace("2" * 32)
    parents = [f"00-{span.trace_id}-{span.span_id}-01" for span in (one, one, other)]
    assert [record.headers["traceparent"] for record in sent] == parents
    assert (one.name, one.kind, one.parent_id) == ("send xai.costs.v1", "PRODUCER", "1" * 16)
    assert one.attributes == {
        "messaging.batch.message_count": 2,
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "xai.costs.v1",
    }


def test_records_of_two_topics_are_two_spans() -> None:
    outcome = replace(_record(ONE), topic=SYNC_OUTCOMES)
    with recording() as collector, sending([_record(ONE), outcome]):
        pass

    assert {span.name for span in collector.spans} == {"send xai.costs.v1", "send xai.sync-outcomes.v1"}


def test_a_record_without_a_trace_gets_none_for_it_would_become_longer() -> None:
    with recording() as collector, sending([_record(None), _record("fake-trace")]) as sent:
        pass

    assert sent == [_record(None), _record("fake-trace")]
    assert collector.spans == []


async def test_records_of_one_trace_are_handled_in_it() -> None:
    handling = Handling()
    with recording() as collector:
        await traced(COSTS, GROUP, handling.handle)([_event(ONE), _event(ONE)])

    (span,) = collector.spans
    own = f"00-{span.trace_id}-{span.span_id}-01"
    assert (span.name, span.kind, span.parent_id) == ("process xai.costs.v1", "CONSUMER", "1" * 16)
    assert span.attributes["messaging.consumer.group.name"] == GROUP
    assert handling.traces == [own, own]
    assert handling.carried == own


async def test_records_of_several_traces_are_handled_in_a_trace_of_its_own_with_links_and_stay_in_theirs() -> None:
    handling = Handling()
    with recording() as collector:
        await traced(COSTS, GROUP, handling.handle)([_event(ONE), _event(OTHER), _event(None), _event(ONE)])

    (span,) = collector.spans
    assert (span.parent_id, span.links) == ("", ("1" * 32, "2" * 32))
    assert handling.traces == [ONE, OTHER, None, ONE]
    assert handling.carried is None


async def test_a_record_without_a_trace_begins_none_for_what_follows() -> None:
    handling = Handling()
    with recording() as collector:
        await traced(COSTS, GROUP, handling.handle)([_event(None)])

    assert [span.parent_id for span in collector.spans] == [""]
    assert (handling.traces, handling.carried) == ([None], None)


async def test_a_handler_that_fails_is_a_span_that_failed() -> None:
    async def fail(_: Sequence[Event[Any]]) -> None:
        raise ConnectionError("fake-secret")

    with recording() as collector, pytest.raises(ConnectionError):
        await traced(COSTS, GROUP, fail)([_event(ONE)])

    (span,) = collector.spans
    assert (span.failed, span.attributes["error.type"]) == (True, "ConnectionError")
    assert b"fake" not in b"".join(collector.bodies)


async def test_without_tracing_nothing_is_wrapped_and_no_record_is_changed() -> None:
    handling = Handling()
    records = [_record(ONE)]

    with sending(records) as sent:
        assert sent is records
    assert traced(COSTS, GROUP, handling.handle) == handling.handle
