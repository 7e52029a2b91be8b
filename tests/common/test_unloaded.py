"""Services are started without what they never use, and look for garbage in what comes after their start only."""

import gc
import subprocess
import sys
from functools import cache

import pytest
from common.http import server
from fastapi import FastAPI

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


def test_no_garbage_is_looked_for_while_a_service_loads() -> None:
    code = "import gc; before = gc.isenabled(); from common import unloaded; print(before, gc.isenabled())"
    done = subprocess.run((sys.executable, "-c", code), check=True, capture_output=True, text=True)  # noqa: S603 - our own

    assert done.stdout == "True False\n"


class _Server:
    """Serves nothing, and sees how garbage is collected meanwhile."""

    started = True

    def run(self) -> None:
        self.collects, self.left_out = gc.isenabled(), gc.get_freeze_count()


def test_a_service_that_serves_collects_garbage_but_not_among_what_it_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    running = _Server()
    monkeypatch.setattr(server, "disable_core_dumps", lambda: None)
    monkeypatch.setattr(server, "server_of", lambda *_, **__: running)
    gc.disable()
    try:
        server.serve(FastAPI, host="127.0.0.1", port=0)
    finally:
        gc.enable()
        gc.unfreeze()

    assert running.collects
    assert running.left_out > 10_000


@cache
def _loaded_by(service: str) -> list[str]:
    return subprocess.run(  # noqa: S603 - our own interpreter
        (sys.executable, "-c", NAMES.format(service=service)), check=True, capture_output=True, text=True
    ).stdout.split()
