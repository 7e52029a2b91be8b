"""Every metric of the system, with its meaning."""

from collections.abc import Iterable
from itertools import chain, product

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

HANDLED = Counter(
    "messages_handled_total",
    "Messages, by topic and the outcome of an attempt",
    ["topic", "outcome"],
)
CONSUMER_STOPPED = Gauge(
    "consumer_stopped",
    "1 while messages of a topic fail for an unknown reason and are no longer dead-lettered",
    ["topic"],
)
CONSUMER_PARTITIONS = Gauge(
    "consumer_partitions", "Partitions of a topic that this process handles; 0 while others have all of them", ["topic"]
)
CONSUMER_UNSTEADY = Gauge(
    "consumer_unsteady", "1 while partitions are assigned again and again, as by two processes of one name", ["topic"]
)
DEAD_LETTERED = Counter("messages_dead_lettered_total", "Dead letters, by topic and reason", ["topic", "reason"])
MISPLACED = Counter(
    "records_misplaced_total",
    "Records that were handled although they lie where the order of their key is lost, by topic and why",
    ["topic", "why"],
)
PUBLISHED = Counter(
    "messages_published_total", "Messages that the broker acknowledged, by topic and type", ["topic", "type"]
)
FILE_UNUSABLE = Gauge("file_unusable", "1 while a changed file is unusable and its former content is used", ["file"])
PROGRESS_AGE = Gauge(
    "progress_age_seconds", "Time since the loop last finished an attempt, also a failed one", ["loop"]
)
XAI_CALLS = Counter("xai_calls_total", "Calls to xAI, by outcome: ok or the code", ["outcome"])
XAI_SECONDS = Histogram(
    "xai_call_seconds", "Duration of calls to xAI", buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
)
CIRCUIT_OPEN = Gauge("xai_circuit_open", "1 while xAI seems to be down and is only probed, by kind", ["kind"])
XAI_OTHER_DAYS = Gauge(
    "xai_answers_other_days", "1 while xAI answers about other days than requested: five teams in a row"
)
WINDOWS = Counter(
    "windows_total", "Windows that ended, by trigger and outcome: read or the code", ["trigger", "outcome"]
)
REQUESTS_IGNORED = Counter(
    "sync_requests_ignored_total",
    "Sync requests for all integrations, older than 7 days or more than an hour ahead, ignored",
)
WAITING_FOR_KEY = Gauge(
    "windows_waiting_for_key", "Windows that have been due for over 10 minutes and wait for their credential"
)
QUESTIONS_OPEN = Gauge(
    "questioned_days",
    "Days of which xAI reported less than before, or absurdly much, by kind and by whom they wait for: xai or operator",
    ["kind", "waits_for"],
)
CREDENTIALS_UNAVAILABLE = Gauge(
    "credentials_unavailable", "Integrations whose credential could not be opened when it was last tried"
)
LEDGER_DAYS = Counter("ledger_days_total", "Days of CostRecorded, by outcome: applied or older", ["outcome"])
UNRECONCILED = Counter("ledger_windows_unreconciled_total", "Windows that the ledger could not reconcile")
ANNOUNCED = Counter(
    "integrations_announced_total", "Rows that the relay published, by reason: changed or daily", ["why"]
)
ACCOUNT_EVENTS = Counter("account_events_total", "Events written for the streams of accounts, by kind", ["kind"])
STREAMS = Gauge("streams_open", "Open event streams")
LISTENING = Gauge("streams_listening", "1 while the database notifies of new events; at 0 streams poll")
COMMANDS_ENDED = Counter(
    "commands_ended_total",
    "Commands that ended, by type (unread: only the IDs were readable) and outcome: done or the code",
    ["type", "outcome"],
)
LINKS = Counter("console_links_total", "Signed links, by outcome: opened or why they were refused", ["outcome"])
REFUSED = Counter("http_requests_refused_total", "Requests that the gate rejected, by code", ["code"])


OF_ONE_SERVICE: dict[str, tuple[Collector, ...]] = {
    "connector": (ANNOUNCED, ACCOUNT_EVENTS, STREAMS, LISTENING, COMMANDS_ENDED),
    "syncer": (
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
    "ledger": (LEDGER_DAYS, UNRECONCILED),
    "console": (LINKS,),
}


class Exported(Collector):
    """What `service` exports: without the series of others, which would be 0 whatever happens there."""

    def __init__(self, service: str) -> None:
        others = [metrics for owner, metrics in OF_ONE_SERVICE.items() if owner != service]
        self._hidden = {family.name for metric in chain(*others) for family in metric.collect()}

    def collect(self) -> Iterable[Metric]:
        """The families, as the client of Prometheus writes them."""
        return (family for family in REGISTRY.collect() if family.name not in self._hidden)


def declare(metric: Counter | Gauge, *values: Iterable[str]) -> None:
    """Export every combination of these label values from the start: an alert needs a 0 before the first event."""
    for combination in product(*values):
        metric.labels(*combination)
