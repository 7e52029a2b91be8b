"""Alerts on the services' metrics: one table, from which the PrometheusRule is made. Names come from the metrics."""

from dataclasses import dataclass
from typing import Any

import yaml
from common import metrics

from grafient.documents.deployment.series import increased, name

RUNBOOKS = "docs/operations.md"
"""Put the address of your copy of the documents before it."""
JOB = "grafient"
"""`job` of every series, by deploy/monitoring."""
LATE_AFTER = 12 * 3600
"""Seconds after a day's end: the daily sync at 06:00 UTC and the healer from 07:00 UTC on have had their turns."""
WAITS_FOR = 1800
"""Seconds."""
OURS = "internal|unavailable"
"""Codes for which neither a customer nor xAI is the reason."""
PAGE, TICKET = "page", "ticket"


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule."""

    name: str
    expression: str
    lasts: str
    """For how long it has to hold."""
    severity: str
    summary: str
    """What a person is shown; `$labels` are of the expression."""
    heading: str
    """Of docs/operations.md: what to do."""

    def rule(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.lasts,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "runbook_url": f"{RUNBOOKS}#{anchor(self.heading)}"},
        }


def anchor(heading: str) -> str:
    """The part of a link that leads to a heading."""
    return "".join(letter for letter in heading.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")


ALERTS = (
    Alert(
        "GrafientDaysLate",
        f"max({name(metrics.LATE)}) > {LATE_AFTER}",
        "30m",
        PAGE,
        "A day that ended {{ $value | humanizeDuration }} ago is not covered.",
        "Days are missing",
    ),
    Alert(
        "GrafientNotReconciled",
        f"max({name(metrics.UNRECONCILED)}) > 0",
        "6h",
        PAGE,
        "The ledger has been unable to reconcile {{ $value }} days for six hours.",
        "Days are not reconciled",
    ),
    Alert(
        "GrafientFailing",
        f"""{increased(metrics.REFUSALS, "10m", f'{{code=~"{OURS}"}}', by="of, code")} > 0""",
        "10m",
        PAGE,
        "For ten minutes some {{ $labels.of }}s have ended as {{ $labels.code }}.",
        "Requests, commands or windows are refused",
    ),
    Alert(
        "GrafientBacklog",
        f"max by (queue) ({name(metrics.BACKLOG_AGE)}) > {WAITS_FOR}",
        "10m",
        TICKET,
        "The oldest of {{ $labels.queue }} has waited for {{ $value | humanizeDuration }}.",
        "Work waits for longer than it should",
    ),
    Alert(
        "GrafientDown",
        f'up{{job="{JOB}"}} == 0',
        "3m",
        PAGE,
        "{{ $labels.instance }} does not answer.",
        "A process is restarted again and again, or `/livez` answers 503",
    ),
    Alert(
        "GrafientLoopStuck",
        f"{name(metrics.PROGRESS_AGE)} > 60",
        "2m",
        PAGE,
        "The loop {{ $labels.loop }} of {{ $labels.instance }} has ended no attempt for over a minute.",
        "A process is restarted again and again, or `/livez` answers 503",
    ),
    Alert(
        "GrafientConsumerStopped",
        f"max by (topic) ({name(metrics.CONSUMER_STOPPED)}) == 1",
        "1m",
        PAGE,
        "Every message of {{ $labels.topic }} fails; what follows waits.",
        "Every message of a topic fails, for example after a deployment",
    ),
    Alert(
        "GrafientConsumerUnsteady",
        f"max by (topic) ({name(metrics.CONSUMER_UNSTEADY)}) == 1",
        "5m",
        TICKET,
        "Partitions of {{ $labels.topic }} are assigned again and again.",
        "The log contains `consumer.unsteady`",
    ),
    Alert(
        "GrafientMessagesDeadLettered",
        f"{increased(metrics.DEAD_LETTERED, '1h', by='topic, reason')} > 0",
        "0m",
        TICKET,
        "Messages of {{ $labels.topic }} were dead-lettered ({{ $labels.reason }}).",
        "Messages were dead-lettered",
    ),
    Alert(
        "GrafientRecordsMisplaced",
        f"{increased(metrics.MISPLACED, '1h', by='topic, why')} > 0",
        "0m",
        TICKET,
        "Records of {{ $labels.topic }} lie where the order of their key is lost ({{ $labels.why }}).",
        "Records are misplaced",
    ),
    Alert(
        "GrafientXaiUnavailable",
        f"max by (kind) ({name(metrics.CIRCUIT_OPEN)}) == 1",
        "30m",
        TICKET,
        "xAI has not answered for half an hour ({{ $labels.kind }}).",
        "xAI is unavailable",
    ),
    Alert(
        "GrafientXaiAnswersOtherDays",
        f"max({name(metrics.XAI_OTHER_DAYS)}) == 1",
        "5m",
        PAGE,
        "xAI answers about other days than requested: nothing is stored.",
        "xAI answers about other days than requested",
    ),
    Alert(
        "GrafientCredentialsUnavailable",
        f"max({name(metrics.CREDENTIALS_UNAVAILABLE)}) > 0",
        "5m",
        PAGE,
        "Stored keys of {{ $value }} integrations cannot be opened.",
        "Cards show that the stored key cannot be opened",
    ),
    Alert(
        "GrafientWindowsWaitForKey",
        f"max({name(metrics.WAITING_FOR_KEY)}) > 0",
        "15m",
        TICKET,
        "{{ $value }} windows have waited for their credential for over 10 minutes.",
        "Windows wait for their key",
    ),
    Alert(
        "GrafientFileUnusable",
        f"max by (file) ({name(metrics.FILE_UNUSABLE)}) == 1",
        "5m",
        PAGE,
        "The changed file {{ $labels.file }} is unusable, and its former content is used.",
        "A changed file is unusable",
    ),
    Alert(
        "GrafientDaysQuestioned",
        f'max by (kind) ({name(metrics.QUESTIONS_OPEN)}{{waits_for="operator"}}) > 0',
        "1h",
        TICKET,
        "xAI reports less than before of {{ $value }} days that wait for an operator.",
        "xAI reports less than before",
    ),
    Alert(
        "GrafientNoDailySync",
        f"""{increased(metrics.WINDOWS, "2d", '{trigger="daily"}')} == 0 and {increased(metrics.WINDOWS, "2d")} > 0""",
        "1h",
        PAGE,
        "No window of a daily sync has ended for two days.",
        "The daily sync has not run",
    ),
    Alert(
        "GrafientStreamsPoll",
        f"min({name(metrics.LISTENING)}) == 0",
        "15m",
        TICKET,
        "The database does not notify of new events: live pages are seconds late.",
        "Live events are late",
    ),
)


def rules() -> dict[str, Any]:
    """The groups, as Prometheus itself reads them from a file."""
    return {"groups": [{"name": "grafient", "rules": [alert.rule() for alert in ALERTS]}]}


def prometheus_rule() -> str:
    """The PrometheusRule of Prometheus Operator."""
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "grafient", "labels": {"app.kubernetes.io/name": "grafient"}},
        "spec": rules(),
    }
    return _text(manifest)


def rules_file() -> str:
    """For a Prometheus without the operator, as in docker-compose.yml."""
    return _text(rules())


def _text(data: dict[str, Any]) -> str:
    return "# Generated from the code by `make docs`.\n" + yaml.safe_dump(data, sort_keys=False, width=120)
