"""The W3C trace context, carried on as it came from requests and messages to whatever they lead to."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""Of the request or message that is handled; what is stored and published meanwhile carries it on."""

TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def trace_of(headers: Mapping[str, str]) -> str | None:
    """The trace context in `headers`, of a record or of a request; None where it is none."""
    parent = headers.get("traceparent", "")
    return parent if TRACEPARENT.fullmatch(parent) else None


def trace_headers() -> dict[str, str]:
    """The trace context that is carried on, if there is one."""
    parent = traceparent.get()
    return {"traceparent": parent} if parent else {}


@contextmanager
def tracing(parent: str | None) -> Iterator[None]:
    """Everything that is stored and published meanwhile carries `parent`."""
    token = traceparent.set(parent)
    try:
        yield
    finally:
        traceparent.reset(token)
