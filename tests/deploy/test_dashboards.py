"""What the dashboards ask for exists: series, tables and columns."""

import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from common.migrations import migrate
from grafana_foundation_sdk.models.dashboard import Dashboard
from grafient.documents.deployment.dashboards import TEAM_COSTS, TEAMS, dashboards, expressions, team_tables
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from tests.deploy.support.promtool import needs_promtool, promtool

SQL = [*(question for _, question in team_tables()), TEAM_COSTS, TEAMS]


@pytest.fixture(scope="module", params=dashboards())
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(dashboards()[request.param])
    return found


def test_grafanas_own_model_reads_a_dashboard(dashboard: dict[str, Any]) -> None:
    read = Dashboard.from_json(dashboard)

    assert read.title
    assert read.title.startswith("Grafient: ")
    assert read.panels


def test_every_panel_has_a_title_a_place_and_a_question(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]

    assert len({panel["title"] for panel in panels}) == len(panels)
    assert all(panel["targets"] and panel["gridPos"]["w"] <= 24 for panel in panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)


@needs_promtool
def test_prometheus_reads_every_question(tmp_path: Path) -> None:
    asked = [question.replace("$__rate_interval", "5m") for question in expressions()]
    recorded = [{"record": f"panel:{number}:x", "expr": question} for number, question in enumerate(asked)]

    promtool(tmp_path, "check", {"groups": [{"name": "panels", "rules": recorded}]})


@pytest.fixture(scope="module")
def migrated(postgres: str) -> str:
    for service in ("ledger", "syncer"):
        migrate(SecretStr(postgres), service)
    return postgres


@pytest.mark.system
def test_postgres_reads_every_question(migrated: str) -> None:
    engine = create_engine(migrated)
    with engine.connect() as connection:
        for question in SQL:
            one_team = question.replace("$integration", str(UUID(int=0))).replace("::", r"\:\:")
            connection.execute(text("EXPLAIN " + re.sub(r"\$__timeFilter\((\w+)\)", r"\1 > now()", one_team)))
    engine.dispose()
