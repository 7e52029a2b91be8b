"""Each alert fires when it should and is silent otherwise, and links to what to do."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from common import metrics
from common.migrations import SERVICES
from grafient.documents.deployment.alerts import ALERTS, JOB, RUNBOOKS, Alert, anchor, rules
from grafient.documents.deployment.series import name
from prometheus_client import Counter, Gauge

from tests.deploy.support.promtool import needs_promtool, promtool

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
HEADINGS = re.findall(r"^#+ (.+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
OF_PROMETHEUS = {"up"}

Series = tuple[str, str]
"""A series with its labels, and its values a minute, in promtool's notation."""
WINDOWS, DAILY = name(metrics.WINDOWS), '{trigger="daily",outcome="read"}'
CASES: dict[str, tuple[list[Series], list[Series], str]] = {
    "GrafientDaysLate": ([(name(metrics.LATE), "43260+60x60")], [(name(metrics.LATE), "43260+60x10 0x50")], "40m"),
    "GrafientNotReconciled": (
        [(name(metrics.UNRECONCILED), "2x500")],
        [(name(metrics.UNRECONCILED), "2x60 0x440")],
        "450m",
    ),
    "GrafientFailing": (
        [(f'{name(metrics.REFUSALS)}{{of="request",code="internal"}}', "0+1x30")],
        [
            (f'{name(metrics.REFUSALS)}{{of="request",code="internal"}}', "7x30"),
            (f'{name(metrics.REFUSALS)}{{of="window",code="key_refused"}}', "0+1x30"),
        ],
        "25m",
    ),
    "GrafientBacklog": (
        [(f'{name(metrics.BACKLOG_AGE)}{{queue="xai.costs.v1"}}', "1801+60x30")],
        [(f'{name(metrics.BACKLOG_AGE)}{{queue="xai.costs.v1"}}', "1801+60x5 0x30")],
        "20m",
    ),
    "GrafientDown": (
        [('up{job="grafient",instance="a"}', "0x20")],
        [('up{job="grafient",instance="a"}', "1x20")],
        "10m",
    ),
    "GrafientLoopStuck": (
        [(f'{name(metrics.PROGRESS_AGE)}{{loop="worker"}}', "70x20")],
        [(f'{name(metrics.PROGRESS_AGE)}{{loop="worker"}}', "70 5x20")],
        "10m",
    ),
    "GrafientConsumerStopped": (
        [(f'{name(metrics.CONSUMER_STOPPED)}{{topic="xai.costs.v1"}}', "1x20")],
        [(f'{name(metrics.CONSUMER_STOPPED)}{{topic="xai.costs.v1"}}', "0x20")],
        "10m",
    ),
    "GrafientConsumerUnsteady": (
        [(f'{name(metrics.CONSUMER_UNSTEADY)}{{topic="xai.costs.v1"}}', "1x20")],
        [(f'{name(metrics.CONSUMER_UNSTEADY)}{{topic="xai.costs.v1"}}', "1 0x20")],
        "10m",
    ),
    "GrafientMessagesDeadLettered": (
        [(f'{name(metrics.DEAD_LETTERED)}{{topic="xai.costs.v1",reason="malformed"}}', "0x5 1x20")],
        [(f'{name(metrics.DEAD_LETTERED)}{{topic="xai.costs.v1",reason="malformed"}}', "3x30")],
        "20m",
    ),
    "GrafientRecordsMisplaced": (
        [(f'{name(metrics.MISPLACED)}{{topic="xai.commands.v1",why="partition"}}', "0x5 7x20")],
        [(f'{name(metrics.MISPLACED)}{{topic="xai.commands.v1",why="partition"}}', "7x30")],
        "20m",
    ),
    "GrafientXaiUnavailable": (
        [(f'{name(metrics.CIRCUIT_OPEN)}{{kind="unavailable"}}', "1x60")],
        [(f'{name(metrics.CIRCUIT_OPEN)}{{kind="unavailable"}}', "1x20 0x40")],
        "50m",
    ),
    "GrafientXaiAnswersOtherDays": (
        [(name(metrics.XAI_OTHER_DAYS), "1x20")],
        [(name(metrics.XAI_OTHER_DAYS), "0x20")],
        "10m",
    ),
    "GrafientCredentialsUnavailable": (
        [(name(metrics.CREDENTIALS_UNAVAILABLE), "2x20")],
        [(name(metrics.CREDENTIALS_UNAVAILABLE), "2 0x20")],
        "10m",
    ),
    "GrafientWindowsWaitForKey": (
        [(name(metrics.WAITING_FOR_KEY), "4x30")],
        [(name(metrics.WAITING_FOR_KEY), "4x5 0x30")],
        "20m",
    ),
    "GrafientFileUnusable": (
        [(f'{name(metrics.FILE_UNUSABLE)}{{file="keyring"}}', "1x20")],
        [(f'{name(metrics.FILE_UNUSABLE)}{{file="keyring"}}', "1 0x20")],
        "10m",
    ),
    "GrafientDaysQuestioned": (
        [(f'{name(metrics.QUESTIONS_OPEN)}{{kind="fell",waits_for="operator"}}', "3x90")],
        [(f'{name(metrics.QUESTIONS_OPEN)}{{kind="fell",waits_for="xai"}}', "3x90")],
        "80m",
    ),
    "GrafientNoDailySync": (
        [(f"{WINDOWS}{DAILY}", "5x110"), (f'{WINDOWS}{{trigger="force",outcome="read"}}', "0+1x110")],
        [(f"{WINDOWS}{DAILY}", "5x60 6x50"), (f'{WINDOWS}{{trigger="force",outcome="read"}}', "0+1x110")],
        "52h",
    ),
    "GrafientStreamsPoll": ([(name(metrics.LISTENING), "0x30")], [(name(metrics.LISTENING), "0x5 1x30")], "20m"),
}
"""By alert: series that make it fire, series that do not, and when to look."""
STEPS = {"GrafientNoDailySync": "30m"}
"""Time between two values, where it is not a minute."""


def case(alert: Alert, series: list[Series], at: str, *, fires: bool) -> dict[str, Any]:
    """As `promtool test rules` reads it: how many alerts there are is counted, whatever their labels."""
    counted = f'count(ALERTS{{alertname="{alert.name}",alertstate="firing"}}) or vector(0)'
    return {
        "interval": STEPS.get(alert.name, "1m"),
        "input_series": [{"series": one, "values": values} for one, values in series],
        "promql_expr_test": [
            {"expr": counted, "eval_time": at, "exp_samples": [{"labels": "{}", "value": int(fires)}]}
        ],
    }


@needs_promtool
@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_fires_and_is_silent(alert: Alert, tmp_path: Path) -> None:
    firing, silent, at = CASES[alert.name]
    promtool(
        tmp_path,
        "test",
        {
            "rule_files": [str(MONITORING / "rules.yaml")],
            "evaluation_interval": STEPS.get(alert.name, "1m"),
            "tests": [case(alert, firing, at, fires=True), case(alert, silent, at, fires=False)],
        },
    )


@needs_promtool
def test_prometheus_reads_the_rules(tmp_path: Path) -> None:
    promtool(tmp_path, "check", rules())


@pytest.mark.parametrize(
    "metric", [metrics.LATE, metrics.UNRECONCILED, metrics.REFUSALS, metrics.BACKLOG_AGE], ids=name
)
def test_each_question_of_an_operator_has_an_alert(metric: Gauge | Counter) -> None:
    assert any(name(metric) in alert.expression for alert in ALERTS)


def test_every_alert_has_a_case() -> None:
    assert [alert.name for alert in ALERTS] == list(CASES)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_links_to_a_heading_that_exists(alert: Alert) -> None:
    assert alert.heading in HEADINGS
    assert alert.rule()["annotations"]["runbook_url"] == f"{RUNBOOKS}#{anchor(alert.heading)}"


def test_every_series_of_a_rule_is_exported() -> None:
    exported = {name(one) for one in vars(metrics).values() if hasattr(one, "describe") and not isinstance(one, type)}
    functions = {"max", "min", "sum", "by", "increase", "and", "d", "h"}

    for alert in ALERTS:
        bare = re.sub(r"\{.*?\}|\[.*?\]|by \(.*?\)", " ", alert.expression)
        assert set(re.findall(r"[a-z_]+", bare)) - functions <= exported | OF_PROMETHEUS, alert.name


def test_prometheus_of_the_compose_file_gives_its_targets_the_job_of_the_alerts() -> None:
    (job,) = yaml.safe_load((MONITORING / "prometheus.yaml").read_text())["scrape_configs"]

    assert job["job_name"] == JOB
    assert {target.partition(":")[0] for target in job["static_configs"][0]["targets"]} == {*SERVICES}
