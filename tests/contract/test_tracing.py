"""A trace context is carried on as it came, as long as the request or message is handled."""

from collections.abc import Mapping

import pytest
from contract.cloudevents import headers_of
from contract.tracing import trace_of, tracing

from tests.support.messages import PARENT, now, sync_requested


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ({"traceparent": PARENT}, PARENT),
        ({"traceparent": PARENT.upper()}, None),
        ({"traceparent": f"{PARENT}-more"}, None),
        ({"traceparent": "0" * 100_000}, None),
        ({}, None),
    ],
)
def test_what_is_no_trace_is_ignored(headers: Mapping[str, str], trace: str | None) -> None:
    assert trace_of(headers) == trace


def test_what_is_published_meanwhile_carries_the_trace_and_nothing_after_it_does() -> None:
    def published() -> str | None:
        return headers_of(sync_requested(), event_id="1", source="/test", at=now()).get("traceparent")

    with tracing(PARENT):
        with tracing(None):
            assert published() is None
        assert published() == PARENT
    assert published() is None
