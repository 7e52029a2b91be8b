"""What of a span leaves the process."""

from collections.abc import Sequence

import pytest
from common.open_telemetry.export import CleanExporter, cleaned
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from structlog.testing import capture_logs

CONTEXT = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("fake", "state")]))
WRITTEN = ReadableSpan(
    "POST /v1/{name}",
    context=CONTEXT,
    parent=CONTEXT,
    attributes={
        "http.route": "/v1/{name}",
        "http.request.header.authorization": "fake-secret",
        "server.address": "fake.host",
        "url.path": "/v1/fake-account",
        "url.query": "key=fake-secret",
        "exception.message": "fake-secret",
    },
    events=[Event("exception", {"exception.stacktrace": "fake-secret"})],
    links=[Link(CONTEXT, {"label": "fake-label"})],
    kind=SpanKind.SERVER,
    status=Status(StatusCode.ERROR, "fake-secret"),
)


def test_what_others_wrote_stays_in_the_process() -> None:
    left = cleaned(WRITTEN)

    assert left.attributes == {"http.route": "/v1/{name}"}
    assert (left.name, left.kind, left.status.status_code) == (WRITTEN.name, SpanKind.SERVER, StatusCode.ERROR)
    assert "fake" not in left.to_json()
    assert [link.context.span_id for link in left.links] == [2]


@pytest.mark.parametrize(
    ("statement", "summary"),
    [
        ("SELECT usd FROM days WHERE label = 'paid FROM fake'", "SELECT days"),
        ("\n  INSERT INTO days (day) VALUES (1) ON CONFLICT DO UPDATE SET day = 1", "INSERT days"),
        ("WITH due AS (SELECT 1 FROM windows FOR UPDATE OF windows SKIP LOCKED) SELECT 1", "WITH windows"),
        ("SELECT * FROM unnest (1) JOIN LATERAL (SELECT 1 FROM ledger.days) d", "SELECT ledger.days"),
        ("SELECT extract(days FROM '2 days') ORDER BY 1", "SELECT"),
        ("SELECT 1 FROM a JOIN b JOIN c JOIN d JOIN e", "SELECT a b c d"),
    ],
)
def test_a_statement_is_its_operation_and_its_tables(statement: str, summary: str) -> None:
    span = ReadableSpan("SELECT", attributes={"db.query.text": statement}, kind=SpanKind.CLIENT)

    left = cleaned(span)

    assert (left.name, left.attributes) == (summary, {"db.query.summary": summary})


def test_one_line_reports_that_spans_are_lost_and_one_that_they_are_not_any_more() -> None:
    answers = [SpanExportResult.FAILURE, SpanExportResult.FAILURE, SpanExportResult.SUCCESS, SpanExportResult.SUCCESS]

    class Answering(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            assert spans
            return answers.pop(0)

    exporter = CleanExporter(Answering())
    with capture_logs() as logs:
        for _ in range(4):
            exporter.export([WRITTEN, WRITTEN])

    assert [(one["event"], one.get("spans"), one.get("lost")) for one in logs] == [
        ("traces.not_exported", 2, None),
        ("traces.exported", None, 4),
    ]


def test_what_the_sdk_itself_makes_can_be_cleaned() -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(CleanExporter(memory)))

    with pytest.raises(ValueError, match="fake"), provider.get_tracer("any").start_as_current_span("read window"):
        raise ValueError("fake-secret")

    (span,) = memory.get_finished_spans()
    assert (span.status.status_code, span.events) == (StatusCode.ERROR, ())
    assert "fake" not in span.to_json()
