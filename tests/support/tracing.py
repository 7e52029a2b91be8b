"""Spans of this process, as a collector receives them."""

from collections.abc import Iterator
from contextlib import contextmanager

from common import tracing
from common.settings import ProcessSettings
from pydantic import SecretStr

from tests.support.collector import Collector

DATABASE_URL = SecretStr("postgresql+psycopg://nobody@127.0.0.1:9/none")


def tracing_settings(endpoint: str, headers: str = "") -> ProcessSettings:
    """Of a process that exports to `endpoint`."""
    return ProcessSettings(
        database_url=DATABASE_URL,
        port=1,
        otel_exporter_otlp_endpoint=endpoint,
        otel_exporter_otlp_headers=SecretStr(headers),
    )


@contextmanager
def recording(headers: str = "", service: str = "connector") -> Iterator[Collector]:
    """This process is traced as `service`; its spans are with the collector when the block has ended."""
    with Collector() as collector:
        tracing.start(service, tracing_settings(collector.url, headers))
        try:
            yield collector
        finally:
            tracing.stop()
