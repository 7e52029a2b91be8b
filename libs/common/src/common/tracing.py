"""Spans of OpenTelemetry. Where no collector is set nothing of it is loaded, and every function here does next to nothing.

Which trace something belongs to is carried by `contract.tracing`, with tracing or without. With it each step is a span
in that trace, and whatever follows from the step has this span as its parent.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Literal, TypeVar

from contract import tracing as carried

from common.settings import ProcessSettings, StartRefusedError

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

    from common.open_telemetry.sdk import OpenTelemetry

Kind = Literal["CONSUMER", "INTERNAL", "PRODUCER"]
Attributes = Mapping[str, str | int]
T = TypeVar("T")

_OFF: "TelemetryConfig" = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI would configure itself from the environment, and export paths, queries and texts of exceptions."""
_active: "OpenTelemetry | None" = None


def start(service: str, settings: ProcessSettings) -> None:
    """Record spans from now on, where the settings name a collector; call it before anything else of `service` is made.

    Raises StartRefusedError where the packages for it are missing.
    """
    global _active  # noqa: PLW0603 - one for each process, as what it traces: every connection of psycopg
    endpoint = settings.otel_exporter_otlp_endpoint
    if not endpoint:
        return
    try:
        from common.open_telemetry.sdk import OpenTelemetry  # noqa: PLC0415 - 12 MB that nobody needs without a collector
    except ImportError as error:
        raise StartRefusedError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and {error.name} is missing, without which no trace is recorded: "
            f"install the extra `otel` (pip install 'grafient-{service}[otel]'), or unset the setting"
        ) from None
    _active = OpenTelemetry(service, endpoint, settings.otel_exporter_otlp_headers.get_secret_value())


def stop() -> None:
    """Export what is left, for a second at most, and record no more."""
    global _active  # noqa: PLW0603 - see start()
    if _active is not None:
        _active.stop()
    _active = None


def is_on() -> bool:
    return _active is not None


@contextmanager
def span(
    name: str,
    parent: str | None,
    *,
    kind: Kind = "INTERNAL",
    links: Sequence[str] = (),
    attributes: Attributes | None = None,
) -> Iterator[str | None]:
    """As `contract.tracing.tracing(parent)`; with tracing on in a span whose parent that is, and which is carried on.

    Yields the trace context that is carried on. `links` are trace contexts of other causes. What the block raises is
    recorded by its class. Without a parent a new trace begins, unless tracing is off.
    """
    if _active is None:
        with carried.tracing(parent):
            yield parent
        return
    with _active.span(name, parent, kind, links, attributes or {}) as own, carried.tracing(own):
        yield own


def trace_of_request(headers: Mapping[str, str]) -> str | None:
    """The trace context of the request that is served: its span's, or what came in its headers where there is none."""
    own = _active.current() if _active is not None else None
    return own or carried.trace_of(headers)


def telemetry(exclude: Callable[[str], bool]) -> "TelemetryConfig":
    """What FastAPI records: one span a request, without paths for which `exclude` is true; nothing with tracing off."""
    return _OFF if _active is None else {**_OFF, **_active.telemetry(exclude)}


def traced_client(transport: T, *, route: str | None = None) -> T:
    """A transport of httpx that makes a span of each request, and has it carried on; `transport` itself with tracing off.

    `route`: the path of all of its requests, with names for what differs. Then it leads to somebody else, who gets no
    trace context.
    """
    return transport if _active is None else _active.traced_client(transport, route)


def producing(topic: str, parent: str, count: int) -> AbstractContextManager[str | None]:
    """The span of `count` records of one trace that are sent to `topic`."""
    attributes = _messaging("send", topic, count)
    return span(f"send {topic}", parent, kind="PRODUCER", attributes=attributes)


def consuming(
    topic: str, group: str, parent: str | None, links: Sequence[str], count: int
) -> AbstractContextManager[str | None]:
    """The span of `count` records of `topic` that are handled together by `group`."""
    attributes = {**_messaging("process", topic, count), "messaging.consumer.group.name": group}
    return span(f"process {topic}", parent, kind="CONSUMER", links=links, attributes=attributes)


def _messaging(operation: str, topic: str, count: int) -> dict[str, str | int]:
    """Names of the conventions for messaging, which are in development: they may change."""
    several: dict[str, str | int] = {"messaging.batch.message_count": count} if count > 1 else {}
    return several | {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
    }
