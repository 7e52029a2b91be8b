"""Every metric of the system stands here, with what it means."""

from prometheus_client import Counter, Gauge, Histogram

HANDLED = Counter("messages_handled_total", "Messages whose handling ended, by topic and how", ["topic", "outcome"])
CONSUMER_STOPPED = Gauge(
    "consumer_stopped", "1 while a topic's messages fail for an unknown reason and are not given up any more", ["topic"]
)
DEAD_LETTERED = Counter("messages_dead_lettered_total", "Messages given up, by topic and reason", ["topic", "reason"])
PUBLISHED = Counter(
    "messages_published_total", "Messages that the broker acknowledged, by topic and type", ["topic", "type"]
)
FILE_UNUSABLE = Gauge("file_unusable", "1 while a changed file cannot be used and what was read before holds", ["file"])
PROGRESS_AGE = Gauge("progress_age_seconds", "Time since the loop last ended an attempt, also by failing", ["loop"])
XAI_CALLS = Counter("xai_calls_total", "Calls of xAI, by how they ended: ok or the code", ["outcome"])
XAI_SECONDS = Histogram(
    "xai_call_seconds", "Time that a call of xAI took", buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
)
CIRCUIT_OPEN = Gauge("xai_circuit_open", "1 while xAI itself seems to fail and is only probed, by kind", ["kind"])
WINDOWS = Counter("windows_total", "Windows that ended, by trigger and how: read or the code", ["trigger", "outcome"])
REQUESTS_IGNORED = Counter("sync_requests_ignored_total", "Sync requests older than 7 days, ignored")
WAITING_FOR_KEY = Gauge("windows_waiting_for_key", "Windows due for over 10 minutes whose credential has not arrived")
LEDGER_DAYS = Counter(
    "ledger_days_total", "Days of CostRecorded, by what became of them: applied or older", ["outcome"]
)
UNRECONCILED = Counter("ledger_windows_unreconciled_total", "Windows that the ledger could not prove to add up")
ANNOUNCED = Counter("integrations_announced_total", "Rows that the relay published, by why: changed or daily", ["why"])
ACCOUNT_EVENTS = Counter("account_events_total", "Events written for the streams of accounts, by kind", ["kind"])
STREAMS = Gauge("streams_open", "Streams of events that are open")
LISTENING = Gauge(
    "streams_listening", "1 while the database tells of new events at once; at 0 streams look by themselves"
)
COMMANDS_ENDED = Counter(
    "commands_ended_total",
    "Commands that ended, by type (unread: only the IDs were) and how: done or the code",
    ["type", "outcome"],
)
REFUSED = Counter("http_requests_refused_total", "Requests that the gate refused, by code", ["code"])
