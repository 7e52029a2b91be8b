"""What of a span leaves the process. What is not named here stays: instrumentations record URLs, statements and texts."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, Status

log = structlog.get_logger()

KEPT = frozenset(
    {
        "db.namespace",
        "db.system.name",
        "error.type",
        "grafient.command",
        "grafient.integration_id",
        "grafient.trigger",
        "grafient.window_id",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "messaging.batch.message_count",
        "messaging.consumer.group.name",
        "messaging.destination.name",
        "messaging.operation.name",
        "messaging.operation.type",
        "messaging.system",
        "network.protocol.version",
        "url.scheme",
        "url.template",
    }
)
"""Attributes whose values are chosen by this code, or are IDs that logs have too."""
KEPT_OF_CLIENTS = frozenset({"server.address", "server.port"})
"""Of what a service calls; where it is called, the client chose the address."""
STATEMENTS = ("db.query.text", "db.statement")
_LITERAL = re.compile(r"'[^']*'")
_OPERATION = re.compile(r"[A-Za-z]{1,16}")
_TABLE = re.compile(
    r"\b(?:INTO\s+([a-z_][a-z0-9_.]*+)|(?:FROM|JOIN|UPDATE)\s+([a-z_][a-z0-9_.]*+)(?!\s*\())", re.IGNORECASE
)
_NO_TABLES = frozenset({"lateral", "of", "select", "set", "skip"})
MOST_TABLES = 4


class CleanExporter(SpanExporter):
    """Exports what `cleaned` leaves of each span, and logs when that begins to fail, and when it works again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export([cleaned(span) for span in spans])
        if result is not SpanExportResult.SUCCESS:
            if not self._lost:
                log.warning("traces.not_exported", spans=len(spans))
            self._lost += len(spans)
        elif self._lost:
            log.info("traces.exported", lost=self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def cleaned(span: ReadableSpan) -> ReadableSpan:
    """`span` without what a customer, xAI or an exception may have written; its kind, times and place in the trace stay."""
    found = span.attributes or {}
    kept = KEPT | KEPT_OF_CLIENTS if span.kind is SpanKind.CLIENT else KEPT
    attributes = {name: value for name, value in found.items() if name in kept}
    name = span.name
    if summary := _summary(found):
        name = attributes["db.query.summary"] = summary
    return ReadableSpan(
        name=name,
        context=_without_state(span.context),
        parent=_without_state(span.parent),
        resource=span.resource,
        attributes=attributes,
        links=[Link(context) for link in span.links if (context := _without_state(link.context))],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _without_state(context: SpanContext | None) -> SpanContext | None:
    """`tracestate` is a header that anybody can send."""
    if context is None:
        return None
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)


def _summary(attributes: Mapping[str, Any]) -> str:
    """Operation and tables of a statement, such as `INSERT requests windows`; empty where there is none."""
    statement = _LITERAL.sub("''", str(next((attributes[name] for name in STATEMENTS if name in attributes), "")))
    operation = _OPERATION.match(statement.lstrip())
    found = dict.fromkeys(into or other for into, other in _TABLE.findall(statement))
    tables = [table for table in found if table.lower() not in _NO_TABLES]
    return " ".join([operation[0].upper(), *tables[:MOST_TABLES]]) if operation else ""
