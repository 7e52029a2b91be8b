"""OpenTelemetry's SDK and its instrumentations, set up for one service. Loaded only where a collector is set."""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, TypeVar, cast

import structlog
from contract.tracing import trace_of
from fastapi.telemetry import TelemetryConfig
from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers

from common.errors import name_of
from common.open_telemetry.export import CleanExporter

log = structlog.get_logger()

T = TypeVar("T")

FLUSH_DEADLINE = 1.0
"""Seconds: a process ends within 30 s in any case, of which offsets and connections have the others."""
CONVENTIONS = "http,database"
"""Stable ones, without which the instrumentations use the former names of attributes, which are not exported."""
OF_TRACES = ("traceparent", "tracestate")
"""Headers."""


class OpenTelemetry:
    """Makes spans, and exports them in a thread of its own: where the collector is unavailable, spans are lost."""

    def __init__(self, service: str, endpoint: str, headers: str = "") -> None:
        """`endpoint`: base URL of OTLP over HTTP; `headers`: `name=value,…`.

        Everything else is set by the standard variables of the SDK, such as OTEL_TRACES_SAMPLER.
        """
        os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = CONVENTIONS
        from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor  # noqa: PLC0415 - it reads the variable

        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it logs each span that it drops
        resource = {
            "service.name": service,
            "service.namespace": "grafient",
            "service.version": version(f"grafient-{service}"),
        }
        self._provider = TracerProvider(resource=Resource.create(resource), shutdown_on_exit=False)
        self._provider.sampler = WithinTraces(self._provider.sampler)
        otlp = OTLPSpanExporter(f"{endpoint}/v1/traces", headers=parse_env_headers(headers, liberal=True) or None)
        self._provider.add_span_processor(BatchSpanProcessor(CleanExporter(otlp)))
        self._tracer = self._provider.get_tracer("grafient", version("grafient-common"))
        propagate.set_global_textmap(TraceContextTextMapPropagator())  # no baggage: it can hold anything
        self._psycopg = PsycopgInstrumentor()
        self._psycopg.instrument(tracer_provider=self._provider)

    def stop(self) -> None:
        """Export what is left, within FLUSH_DEADLINE."""
        self._psycopg.uninstrument()
        flushing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        flushing.start()
        flushing.join(FLUSH_DEADLINE)
        if flushing.is_alive():
            log.warning("traces.not_flushed")

    @contextmanager
    def span(
        self, name: str, parent: str | None, kind: str, links: Sequence[str], attributes: Mapping[str, str | int]
    ) -> Iterator[str]:
        """A span that is the current one meanwhile; yields its trace context."""
        above = trace.set_span_in_context(NonRecordingSpan(_context_of(parent)), contexts.Context())
        with (
            self._tracer.start_as_current_span(
                name,
                above,
                SpanKind[kind],
                attributes,
                [Link(_context_of(link)) for link in links],
                record_exception=False,
                set_status_on_exception=False,
            ) as own,
            _recording_failure(own),
        ):
            yield _traceparent_of(own.get_span_context())

    def current(self) -> str | None:
        """The trace context of the current span."""
        own = trace.get_current_span().get_span_context()
        return _traceparent_of(own) if own.is_valid else None

    def telemetry(self, exclude: Callable[[str], bool]) -> TelemetryConfig:
        return {
            "tracing": True,
            "tracer_provider": self._provider,
            "operation_spans": False,
            "exclude": lambda scope: exclude(scope["path"]),
        }

    def traced_client(self, transport: T, route: str | None) -> T:
        """See `common.tracing.traced_client`."""
        from opentelemetry.instrumentation.httpx import AsyncOpenTelemetryTransport  # noqa: PLC0415 - the ledger has no httpx

        async def name(span: Span, _request: object) -> None:
            if route is not None:
                span.update_name(f"POST {route}")
                span.set_attribute("url.template", route)

        inner: Any = transport if route is None else WithoutTrace(transport)
        return cast("T", AsyncOpenTelemetryTransport(inner, self._provider, request_hook=name))


class WithoutTrace:
    """A transport of httpx whose requests carry no trace context: it is nobody else's business."""

    def __init__(self, transport: Any) -> None:  # noqa: ANN401 - a service without httpx has no type for it
        self._transport = transport

    async def handle_async_request(self, request: Any) -> Any:  # noqa: ANN401 - the same
        for name in OF_TRACES:
            request.headers.pop(name, None)
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        await self._transport.aclose()


class WithinTraces(Sampler):
    """As `sampler`, but a statement or a call that belongs to no trace begins none: loops look for work each second."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(  # the SDK's signature  # noqa: PLR0917
        self,
        parent_context: contexts.Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,  # noqa: ANN401 - passed on
        links: Sequence[Link] | None = None,
        trace_state: Any = None,  # noqa: ANN401 - passed on
    ) -> SamplingResult:
        parent = trace.get_current_span(parent_context).get_span_context()
        if kind is SpanKind.CLIENT and not parent.is_valid:
            return SamplingResult(Decision.DROP)
        return self._sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"WithinTraces{{{self._sampler.get_description()}}}"


@contextmanager
def _recording_failure(span: Span) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        span.set_attribute("error.type", name_of(error))
        span.set_status(StatusCode.ERROR)
        raise


def _context_of(parent: str | None) -> SpanContext:
    """Of a trace context; an invalid one where there is none."""
    if trace_of({"traceparent": parent or ""}) is None or parent is None:
        return trace.INVALID_SPAN_CONTEXT
    _, trace_id, span_id, flags = parent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16) & 1))


def _traceparent_of(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"
