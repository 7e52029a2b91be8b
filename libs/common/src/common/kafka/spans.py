"""Spans of what is published and consumed, by the conventions of OpenTelemetry; none where tracing is off."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Protocol, TypeVar

from contract.cloudevents import Event
from contract.topics import Topic
from contract.tracing import trace_of, tracing

from common.tracing import consuming, is_on, producing

Handle = Callable[[Sequence[Event[Any]]], Awaitable[None]]


class Record(Protocol):
    """A dataclass of a record to be published."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def topic(self) -> Topic: ...

    @property
    def headers(self) -> Mapping[str, str]: ...


R = TypeVar("R", bound=Record)


@contextmanager
def sending(records: Sequence[R]) -> Iterator[Sequence[R]]:
    """One span for each topic and trace; yields the records with these spans as the parents of what they lead to.

    No record becomes longer: one without a trace context stays without.
    """
    if not is_on():
        yield records
        return
    traces = [(record.topic.name, trace_of(record.headers)) for record in records]
    with ExitStack() as stack:
        own: dict[tuple[str, str | None], str | None] = {
            (topic, parent): stack.enter_context(producing(topic, parent, count))
            for (topic, parent), count in Counter(traces).items()
            if parent
        }
        yield [_with_trace(record, own.get(trace)) for record, trace in zip(records, traces, strict=True)]


def _with_trace(record: R, trace: str | None) -> R:
    return replace(record, headers={**record.headers, "traceparent": trace}) if trace else record


def traced(topic: Topic, group: str, handle: Handle) -> Handle:
    """`handle` in a span for each call; `handle` itself where tracing is off."""
    if not is_on():
        return handle

    async def handle_in_span(events: Sequence[Event[Any]]) -> None:
        with _processing(topic, group, events) as own:
            await handle(own)

    return handle_in_span


@contextmanager
def _processing(topic: Topic, group: str, events: Sequence[Event[Any]]) -> Iterator[Sequence[Event[Any]]]:
    """Events of one trace are handled in it. Those of several are handled in a trace of its own, with links to theirs.

    What follows from each of the latter stays in its own trace. An event without a trace begins none for what follows:
    a request for all integrations would be one trace of all their windows.
    """
    traces = list(dict.fromkeys(trace_of({"traceparent": event.traceparent or ""}) for event in events))
    only = traces[0] if len(traces) == 1 else None
    links = [] if only else [trace for trace in traces if trace]
    with consuming(topic.name, group, only, links, len(events)) as own, tracing(own if only else None):
        yield [event._replace(traceparent=own) for event in events] if only else events
