"""Metrics as operators see them: name, type, labels, unit, meaning, and which services export each."""

from dataclasses import dataclass

from common.metrics import CONSUMERS, EVERY, EXPORTED_BY
from prometheus_client import Counter, Gauge, Histogram, Info

SUFFIXES = {"counter": "_total", "info": "_info"}
UNITS = {"_seconds": "seconds", "_days": "days", "_total": "number", "_info": "1"}
SERVICES = {EVERY: "all", CONSUMERS: "all but the console"}


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric."""

    name: str
    type: str
    labels: tuple[str, ...]
    unit: str
    services: tuple[str, ...]
    meaning: str


def metric_rows() -> list[MetricRow]:
    """In the order in which they are declared."""
    return [_row(metric, services) for services, metrics in EXPORTED_BY for metric in metrics]


def _row(metric: Counter | Gauge | Histogram | Info, services: tuple[str, ...]) -> MetricRow:
    described = next(iter(metric.describe()))
    name = described.name + SUFFIXES.get(described.type, "")
    kind = "gauge" if described.type == "info" else described.type  # as the text format has it
    labels = ("service", "version") if isinstance(metric, Info) else tuple(metric._labelnames)  # noqa: SLF001 - no public way
    return MetricRow(name, kind, labels, _unit(name, described.documentation), services, described.documentation)


def _unit(name: str, meaning: str) -> str:
    if meaning.startswith("1 while"):
        return "1 or 0"
    return next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), "number")
