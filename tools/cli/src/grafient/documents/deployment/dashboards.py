"""Dashboards of Grafana: the system, one team's life, broker and database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common import metrics
from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import StackingMode
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from grafient.documents.deployment.series import increased, name, quantile, rate

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${prometheus}")
POSTGRES = DataSourceRef(type_val="grafana-postgresql-datasource", uid="${postgres}")
WIDTH, HALF, THIRD = 24, 12, 8

Graph = tuple[str, str, dict[str, str]]
"""Title, unit, and by legend the question to Prometheus."""
OVERVIEW: tuple[Graph, ...] = (
    ("Calls to xAI by outcome", "reqps", {"{{outcome}}": rate(metrics.XAI_CALLS, "outcome")}),
    (
        "Duration of calls to xAI",
        "s",
        {"half": quantile(metrics.XAI_SECONDS, 0.5), "95 %": quantile(metrics.XAI_SECONDS, 0.95)},
    ),
    ("Windows that ended, by trigger", "ops", {"{{trigger}}": rate(metrics.WINDOWS, "trigger")}),
    ("Windows that ended, by outcome", "ops", {"{{outcome}}": rate(metrics.WINDOWS, "outcome")}),
    ("Messages handled, by topic", "ops", {"{{topic}}": rate(metrics.HANDLED, "topic")}),
    ("Messages published, by topic", "ops", {"{{topic}}": rate(metrics.PUBLISHED, "topic")}),
    ("Days stored by the ledger", "ops", {"{{outcome}}": rate(metrics.LEDGER_DAYS, "outcome")}),
    ("Commands that ended, by outcome", "ops", {"{{outcome}}": rate(metrics.COMMANDS_ENDED, "outcome")}),
    ("Refusals, by code", "ops", {"{{of}} {{code}}": rate(metrics.REFUSALS, "of, code")}),
    ("Age of what waits", "s", {"{{queue}}": f"max by (queue) ({name(metrics.BACKLOG_AGE)})"}),
    ("Oldest attempt of a loop", "s", {"{{instance}} {{loop}}": name(metrics.PROGRESS_AGE)}),
)
FOUR: tuple[tuple[str, str, str], ...] = (
    ("Is it late? Oldest day that is not covered", "s", f"max({name(metrics.LATE)})"),
    ("Is it wrong? Days not reconciled", "short", f"max({name(metrics.UNRECONCILED)})"),
    ("Is it failing? Refusals, 1 h", "short", increased(metrics.REFUSALS, "1h")),
    ("Is it full? Oldest of what waits", "s", f"max({name(metrics.BACKLOG_AGE)})"),
)
"""Title, unit and question of what an operator wants to know first."""
NOW: tuple[tuple[str, str, str], ...] = (
    ("Dead letters, 24 h", "short", increased(metrics.DEAD_LETTERED, "24h")),
    ("Consumers stopped", "short", f"sum({name(metrics.CONSUMER_STOPPED)})"),
    ("xAI's circuit open", "short", f"max({name(metrics.CIRCUIT_OPEN)})"),
    ("Days questioned", "short", f"sum(max by (kind, waits_for) ({name(metrics.QUESTIONS_OPEN)}))"),
    ("Keys that cannot be opened", "short", f"max({name(metrics.CREDENTIALS_UNAVAILABLE)})"),
)
TEAM: tuple[tuple[str, str, str, str], ...] = (
    (
        "The integration",
        "account_id, team_id, label, plan, status, history_from, added_at, removed_at",
        "ledger.integrations",
        "version",
    ),
    (
        "Windows: why and how each ended",
        "created_at, trigger, first_day, last_day, attempts, code, due_at, closed_at",
        "syncer.windows",
        "created_at",
    ),
    (
        "Readings that the ledger judged",
        "observed_at, first_day, last_day, reconciled, unreconciled_days, reading_id",
        "ledger.outcomes",
        "observed_at",
    ),
    (
        "Days that xAI restated",
        "day, usd AS formerly_usd, said_since, said_until, replaced_by",
        "ledger.day_revisions",
        "said_until",
    ),
)
"""Title, columns, table, and what the newest is first by."""
TEAM_COSTS = (
    "SELECT day::timestamp AS time, model AS metric, sum(usd)::float8 AS usd FROM ledger.daily_costs"
    " WHERE integration_id = '$integration'::uuid AND $__timeFilter(day) GROUP BY day, model ORDER BY day"
)
TEAMS = "SELECT label || ' (' || account_id || ')' AS __text, integration_id::text AS __value FROM ledger.integrations"
PLATFORM: tuple[Graph, ...] = (
    ("Records that wait, by group", "short", {"{{consumergroup}}": "sum by (consumergroup) (kafka_consumergroup_lag)"}),
    ("Members of a group", "short", {"{{consumergroup}}": "kafka_consumergroup_members"}),
    (
        "Partitions without all replicas in sync",
        "short",
        {"{{topic}}": "sum by (topic) (kafka_topic_partition_under_replicated_partition)"},
    ),
    (
        "Records written, by topic",
        "ops",
        {"{{topic}}": 'sum by (topic) (rate(kafka_topic_partition_current_offset{topic=~"xai.*"}[$__rate_interval]))'},
    ),
    ("Connections to Postgres", "short", {"{{usename}} {{state}}": "sum by (usename, state) (cnpg_backends_total)"}),
    ("Standbys behind", "s", {"{{pod}}": "cnpg_pg_replication_lag"}),
    ("Size of the database", "bytes", {"{{datname}}": "max by (datname) (cnpg_pg_database_size_bytes)"}),
    ("Longest transaction", "s", {"{{usename}}": "max by (usename) (cnpg_backends_max_tx_duration_seconds)"}),
)


@dataclass(frozen=True)
class Sql(Dataquery):
    """A question to Postgres."""

    text: str
    format: str = "table"

    def to_json(self) -> dict[str, object]:
        """As Grafana's data source reads it."""
        return {"refId": "A", "rawSql": self.text, "rawQuery": True, "editorMode": "code", "format": self.format}


class _Query(Builder[Dataquery]):
    """What is ready already."""

    def __init__(self, query: Dataquery) -> None:
        self._query = query

    def build(self) -> Dataquery:
        return self._query


def dashboards() -> dict[str, str]:
    """By name: the JSON that Grafana imports."""
    made = {"overview": _overview(), "team": _team(), "platform": _platform()}
    return {key: JSONEncoder(sort_keys=True, indent=1).encode(one.build()) + "\n" for key, one in made.items()}


def expressions() -> list[str]:
    """Every question to Prometheus."""
    graphs = [question for _, _, questions in (*OVERVIEW, *PLATFORM) for question in questions.values()]
    return graphs + [question for *_, question in (*FOUR, *NOW)]


def team_tables() -> list[tuple[str, str]]:
    """Title and question to Postgres of each table of a team."""
    which = "WHERE integration_id = '$integration'::uuid ORDER BY"
    return [
        (title, f"SELECT {columns} FROM {relation} {which} {newest} DESC LIMIT 200")  # noqa: S608 - constants of above
        for title, columns, relation, newest in TEAM
    ]


def _dashboard(title: str, uid: str, since: str) -> dashboard.Dashboard:
    return (
        dashboard.Dashboard(f"Grafient: {title}").uid(f"grafient-{uid}").tags(["grafient"]).readonly()
        .time(f"now-{since}", "now").timezone("utc").refresh("1m")
    )  # fmt: skip


def _overview() -> dashboard.Dashboard:
    made = _dashboard("overview", "overview", "24h").with_variable(_source("prometheus"))
    for row in (FOUR, NOW):
        for title, unit, question in row:
            panel = stat.Panel().title(title).unit(unit).datasource(PROMETHEUS).span(WIDTH // len(row)).height(4)
            made.with_panel(panel.with_target(prometheus.Dataquery().expr(question).ref_id("A")))
    return _with_graphs(made, OVERVIEW)


def _platform() -> dashboard.Dashboard:
    """On the exporters of Strimzi and CloudNativePG."""
    return _with_graphs(
        _dashboard("broker and database", "platform", "6h").with_variable(_source("prometheus")), PLATFORM
    )


def _with_graphs(made: dashboard.Dashboard, graphs: Sequence[Graph]) -> dashboard.Dashboard:
    for title, unit, questions in graphs:
        panel = timeseries.Panel().title(title).unit(unit).min(0).datasource(PROMETHEUS).span(HALF).height(THIRD)
        for number, (legend, question) in enumerate(questions.items()):
            query = prometheus.Dataquery().expr(question).legend_format(legend).ref_id("ABCDEF"[number])
            panel.with_target(query)
        made.with_panel(panel)
    return made


def _team() -> dashboard.Dashboard:
    """From the tables: no metric names an account or a team."""
    choice = dashboard.QueryVariable("integration").label("Team").datasource(POSTGRES).query(TEAMS)
    made = _dashboard("a team", "team", "90d").with_variable(_source("postgres")).with_variable(choice)
    stacked = common.StackingConfig().mode(StackingMode.NORMAL)
    costs = timeseries.Panel().title("Costs of each day by model, as they are known now").unit("currencyUSD")
    costs.stacking(stacked).fill_opacity(60).datasource(POSTGRES).span(WIDTH).height(10)
    made.with_panel(costs.with_target(_Query(Sql(TEAM_COSTS, "time_series"))))
    for title, question in team_tables():
        panel = table.Panel().title(title).datasource(POSTGRES).span(WIDTH).height(THIRD)
        made.with_panel(panel.with_target(_Query(Sql(question))))
    return made


def _source(kind: str) -> dashboard.DatasourceVariable:
    types: dict[str, Any] = {"prometheus": PROMETHEUS.type_val, "postgres": POSTGRES.type_val}
    return dashboard.DatasourceVariable(kind).label("Data source").type(types[kind])
