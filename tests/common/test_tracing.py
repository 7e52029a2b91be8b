"""Tracing as the services use it: on with a collector, nothing without."""

import sys

import pytest
from common import tracing
from common.errors import TransientError
from common.settings import StartRefusedError
from contract.tracing import traceparent

from tests.support.tracing import recording, tracing_settings

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = f"{PARENT[:-2]}00"
OTHER = "00-1bf7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"
MODULES = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk.trace")


def test_without_a_collector_the_trace_context_is_carried_as_it_came() -> None:
    transport = object()

    with tracing.span("read window", PARENT) as own:
        carried = traceparent.get()

    assert own == carried == PARENT
    assert not tracing.is_on()
    assert tracing.traced_client(transport) is transport
    assert tracing.trace_of_request({"traceparent": PARENT}) == PARENT
    assert not any(tracing.telemetry(lambda _: False).values()), "nor does FastAPI read the environment"


def test_what_is_done_in_a_span_has_it_as_its_parent() -> None:
    with (
        recording() as collector,
        tracing.span("read window", PARENT, attributes={"grafient.trigger": "force"}) as outer,
    ):
        parent = traceparent.get()
        with tracing.span("process command", parent) as inner:
            carried = traceparent.get()

    window, command = collector.named("connector", "read window")[0], collector.named("connector", "process command")[0]
    assert (outer, inner) == (f"00-{window.trace_id}-{window.span_id}-01", carried)
    assert (window.trace_id, window.parent_id) == (PARENT[3:35], PARENT[36:52])
    assert (command.trace_id, command.parent_id) == (window.trace_id, window.span_id)
    assert window.attributes == {"grafient.trigger": "force"}


def test_a_span_without_a_parent_begins_a_trace_and_links_lead_to_others() -> None:
    with recording() as collector, tracing.span("read window", None, links=[PARENT, OTHER]):
        pass

    (span,) = collector.spans
    assert span.parent_id == ""
    assert span.links == (PARENT[3:35], OTHER[3:35])


def test_a_trace_that_its_caller_does_not_record_is_not_recorded_and_is_carried_on() -> None:
    with recording() as collector, tracing.span("read window", UNSAMPLED) as own:
        pass

    assert collector.spans == []
    assert own is not None
    assert own.startswith(UNSAMPLED[:36])
    assert own.endswith("-00")


def test_a_failure_is_its_class_and_none_of_its_words() -> None:
    with recording() as collector, pytest.raises(TransientError), tracing.span("read window", PARENT):
        raise TransientError("fake-secret")

    (span,) = collector.spans
    assert (span.failed, span.attributes) == (True, {"error.type": "TransientError"})
    assert b"fake-secret" not in b"".join(collector.bodies)


def test_a_collector_gets_the_headers_that_it_needs() -> None:
    with recording("authorization=Bearer%20fake-token,x-tenant=one") as collector, tracing.span("read window", None):
        pass

    assert {"Authorization": "Bearer fake-token", "X-Tenant": "one"}.items() <= {
        name.title(): value for name, value in collector.headers.items()
    }.items()


@pytest.mark.parametrize("missing", MODULES)
def test_a_start_without_the_packages_is_refused_with_the_extra_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("common.open_telemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(StartRefusedError) as refused:
        tracing.start("syncer", tracing_settings("http://127.0.0.1:9"))

    assert str(refused.value).startswith("OTEL_EXPORTER_OTLP_ENDPOINT is set")
    assert missing in str(refused.value)
    assert "pip install 'grafient-syncer[otel]'" in str(refused.value)
    assert not tracing.is_on()
