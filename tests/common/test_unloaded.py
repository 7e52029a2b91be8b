"""Services are started without what they never use."""

import subprocess
import sys

import pytest

TRACING = (
    "opentelemetry.sdk",
    "opentelemetry.exporter",
    "opentelemetry.instrumentation",
    "google.protobuf",
    "requests",
)
NAMES = "import sys; from common import unloaded; import {service}.app; print(*sys.modules)"


@pytest.mark.parametrize("service", ["connector", "syncer", "ledger", "console"])
def test_a_service_without_a_collector_loads_nothing_that_records_spans(service: str) -> None:
    loaded = _loaded_by(service)

    assert "common.tracing" in loaded
    assert [name for name in loaded if name.startswith((*TRACING, "common.open_telemetry"))] == []


@pytest.mark.parametrize("service", ["connector", "syncer", "ledger"])
def test_a_service_loads_neither_coloured_tracebacks_nor_the_mapping_of_classes_to_tables(service: str) -> None:
    loaded = _loaded_by(service)

    assert {"sqlalchemy.ext.asyncio.engine", "structlog.dev"} <= set(loaded)
    assert not [name for name in loaded if name.startswith(("rich.", "sqlalchemy.orm"))]


def _loaded_by(service: str) -> list[str]:
    return subprocess.run(  # noqa: S603 - our own interpreter
        (sys.executable, "-c", NAMES.format(service=service)), check=True, capture_output=True, text=True
    ).stdout.split()
