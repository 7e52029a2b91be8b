"""`docs/metrics.md`: metrics, log events and exit statuses, from the code."""

from collections.abc import Iterable
from pathlib import Path

from common.settings import EXIT_BAD_SETTINGS
from uvicorn.config import STARTUP_FAILURE

from grafient.documents.operators.events import MEANINGS
from grafient.documents.operators.metrics import SERVICES, MetricRow, metric_rows
from grafient.documents.operators.sources import LogEvent, log_events

CHECKOUT = Path(__file__).parents[6]
STATUSES = (
    ("services", "0", "ended on request: SIGTERM, SIGINT"),
    ("services", str(STARTUP_FAILURE), "could not start, or not listen: the log has the reason (`service.refused`)"),
    ("services", str(EXIT_BAD_SETTINGS), "a setting is missing or unusable: stderr names it and the next step"),
    ("commands", "0", "all is as it should be, or done"),
    ("commands", "1", "something differs, waits or has a problem, or was refused for a reason that is named"),
    ("commands", "2", "wrong usage: an option, an argument, an ID, a setting, or the file that a setting names"),
    ("commands", "3", "broker, database or another service cannot be reached or used"),
)


def page() -> str:
    """The document."""
    return f"""# Metrics, log events and exit statuses

Generated from the code by `make docs`. What to do about each is in `docs/operations.md`; alerts and dashboards are in
`deploy/monitoring`. Names stay; a metric, an event or a field may be added at any time.

## Metrics

Each service serves its own at `/metrics`. Label values that an alert reads exist from the start, at 0. No label names
an account, an integration or a key. The client's own metrics (`process_…`, `python_…`) are exported as well.

Four of them answer what an operator asks first: is it late, is it wrong, is it failing, is it full.

{_table(("metric", "type", "labels", "unit", "of", "meaning"), map(_metric, metric_rows()))}
## Log events

One JSON object a line, with `event`, `level`, `timestamp` (UTC), `service`, `logger` and the fields below; some lines
have more, such as IDs. Of warnings and errors that repeat themselves the first is whole, and once a minute a line with
`repeated` and `seconds` counts the others. Lines of libraries have their own texts. `<name>` is a loop or a worker.

{_table(("event", "level", "of", "fields", "meaning"), _events(log_events(CHECKOUT)))}
## Exit statuses

{_table(("of", "status", "means"), STATUSES)}"""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _metric(row: MetricRow) -> tuple[str, ...]:
    labels = ", ".join(f"`{label}`" for label in row.labels)
    services = SERVICES.get(row.services) or ", ".join(row.services)
    return f"`{row.name}`", row.type, labels, row.unit, services, row.meaning


def _events(found: list[LogEvent]) -> Iterable[tuple[str, ...]]:
    for name in sorted({event.name for event in found}):
        some = [event for event in found if event.name == name]
        programs = {event.service for event in some}
        fields = sorted({field for event in some for field in event.fields})
        yield (
            f"`{name}`",
            ", ".join(sorted({event.level for event in some})),
            "all" if "" in programs else ", ".join(sorted(programs)),
            ", ".join(f"`{field}`" for field in fields),
            MEANINGS.get(name, ""),
        )
