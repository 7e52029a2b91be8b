"""Every metric of the system, with its meaning. `docs/metrics.md` is generated from it."""

from collections.abc import Iterable
from itertools import chain, product

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call]  # they are a series more for each, which nobody reads

BUILD = Info("grafient_build", "Which version of which service this is")
LATE = Gauge(
    "grafient_oldest_uncovered_day_seconds",
    "Is it late: time since the end of the oldest day that should be covered and is not, at most since its team was"
    " connected; 0 while all are covered. Days that xAI refuses or that are questioned are left out",
)
BACKLOG_AGE = Gauge(
    "grafient_backlog_age_seconds",
    "Is it full: time since the oldest of what waits was due, by queue: a topic that is consumed, windows, commands, or"
    " states and results to be published",
    ["queue"],
)
HANDLED = Counter(
    "grafient_messages_handled_total",
    "Messages, by topic and the outcome of an attempt",
    ["topic", "outcome"],
)
CONSUMER_STOPPED = Gauge(
    "grafient_consumer_stopped",
    "1 while messages of a topic fail for an unknown reason and are no longer dead-lettered",
    ["topic"],
)
CONSUMER_PARTITIONS = Gauge(
    "grafient_consumer_partitions",
    "Partitions of a topic that this process handles; 0 while others have all of them",
    ["topic"],
)
CONSUMER_UNSTEADY = Gauge(
    "grafient_consumer_unsteady",
    "1 while partitions are assigned again and again, as by two processes of one name",
    ["topic"],
)
DEAD_LETTERED = Counter(
    "grafient_messages_dead_lettered_total", "Dead letters, by topic and reason", ["topic", "reason"]
)
MISPLACED = Counter(
    "grafient_records_misplaced_total",
    "Records that were handled although they lie where the order of their key is lost, by topic and why",
    ["topic", "why"],
)
PUBLISHED = Counter(
    "grafient_messages_published_total", "Messages that the broker acknowledged, by topic and type", ["topic", "type"]
)
FILE_UNUSABLE = Gauge(
    "grafient_file_unusable", "1 while a changed file is unusable and its former content is used", ["file"]
)
PROGRESS_AGE = Gauge(
    "grafient_progress_age_seconds", "Time since the loop last finished an attempt, also a failed one", ["loop"]
)
XAI_CALLS = Counter("grafient_xai_calls_total", "Calls to xAI, by outcome: ok or the code", ["outcome"])
XAI_SECONDS = Histogram(
    "grafient_xai_call_seconds", "Duration of calls to xAI", buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
)
CIRCUIT_OPEN = Gauge("grafient_xai_circuit_open", "1 while xAI seems to be down and is only probed, by kind", ["kind"])
XAI_OTHER_DAYS = Gauge(
    "grafient_xai_answers_other_days", "1 while xAI answers about other days than requested: five teams in a row"
)
WINDOWS = Counter(
    "grafient_windows_total", "Windows that ended, by trigger and outcome: read or the code", ["trigger", "outcome"]
)
REQUESTS_IGNORED = Counter(
    "grafient_sync_requests_ignored_total",
    "Sync requests for all integrations, older than 7 days or more than an hour ahead, ignored",
)
WAITING_FOR_KEY = Gauge(
    "grafient_windows_waiting_for_key", "Windows that have been due for over 10 minutes and wait for their credential"
)
QUESTIONS_OPEN = Gauge(
    "grafient_questioned_days",
    "Days of which xAI reported less than before, or absurdly much, by kind and by whom they wait for: xai or operator",
    ["kind", "waits_for"],
)
CREDENTIALS_UNAVAILABLE = Gauge(
    "grafient_credentials_unavailable", "Integrations whose credential could not be opened when it was last tried"
)
LEDGER_DAYS = Counter("grafient_ledger_days_total", "Days of CostRecorded, by outcome: applied or older", ["outcome"])
UNRECONCILED = Gauge(
    "grafient_unreconciled_days",
    "Is it wrong: days that the ledger could not reconcile with what was read, until they are read again",
)
ANNOUNCED = Counter(
    "grafient_integrations_announced_total", "Rows that the relay published, by reason: changed or daily", ["why"]
)
ACCOUNT_EVENTS = Counter(
    "grafient_account_events_total", "Events written for the streams of accounts, by kind", ["kind"]
)
STREAMS = Gauge("grafient_streams_open", "Open event streams")
LISTENING = Gauge("grafient_streams_listening", "1 while the database notifies of new events; at 0 streams poll")
COMMANDS_ENDED = Counter(
    "grafient_commands_ended_total",
    "Commands that ended, by type (unread: only the IDs were readable) and outcome: done or the code",
    ["type", "outcome"],
)
LINKS = Counter(
    "grafient_console_links_total", "Signed links, by outcome: opened or why they were refused", ["outcome"]
)
REFUSALS = Counter(
    "grafient_refusals_total",
    "Is it failing: HTTP requests, commands and windows that were refused, by code",
    ["of", "code"],
)


EVERY, CONSUMERS = ("connector", "syncer", "ledger", "console"), ("connector", "syncer", "ledger")
EXPORTED_BY: tuple[tuple[tuple[str, ...], tuple[Counter | Gauge | Histogram | Info, ...]], ...] = (
    (EVERY, (BUILD, FILE_UNUSABLE, PROGRESS_AGE)),
    (
        CONSUMERS,
        (
            REFUSALS,
            BACKLOG_AGE,
            HANDLED,
            CONSUMER_STOPPED,
            CONSUMER_PARTITIONS,
            CONSUMER_UNSTEADY,
            DEAD_LETTERED,
            MISPLACED,
            PUBLISHED,
        ),
    ),
    (("connector",), (ANNOUNCED, ACCOUNT_EVENTS, STREAMS, LISTENING, COMMANDS_ENDED)),
    (
        ("syncer",),
        (
            LATE,
            UNRECONCILED,
            XAI_CALLS,
            XAI_SECONDS,
            CIRCUIT_OPEN,
            XAI_OTHER_DAYS,
            WINDOWS,
            REQUESTS_IGNORED,
            WAITING_FOR_KEY,
            QUESTIONS_OPEN,
            CREDENTIALS_UNAVAILABLE,
        ),
    ),
    (("ledger",), (LEDGER_DAYS,)),
    (("console",), (LINKS,)),
)
"""Which services export which metrics."""


class Exported(Collector):
    """What `service` exports: without the series of others, which would be 0 whatever happens there."""

    def __init__(self, service: str) -> None:
        others = [metrics for services, metrics in EXPORTED_BY if services != EVERY and service not in services]
        self._hidden = {family.name for metric in chain(*others) for family in metric.collect()}

    def collect(self) -> Iterable[Metric]:
        """The families, as the client of Prometheus writes them."""
        return (family for family in REGISTRY.collect() if family.name not in self._hidden)


def declare(metric: Counter | Gauge, *values: Iterable[str]) -> None:
    """Export every combination of these label values from the start: an alert needs a 0 before the first event."""
    for combination in product(*values):
        metric.labels(*combination)
