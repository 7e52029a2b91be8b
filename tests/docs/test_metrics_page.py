"""The page of metrics and log events names everything that the code has, and nothing else."""

import re

import pytest
from common.metrics import EXPORTED_BY
from contract.access import ACCESS
from grafient.documents.operators.events import MEANINGS
from grafient.documents.operators.metrics import MetricRow, metric_rows
from grafient.documents.operators.page import CHECKOUT
from grafient.documents.operators.sources import log_events
from prometheus_client import REGISTRY

UNITS = ("_total", "_seconds", "_info", "_days")
WITHOUT_UNIT = {"gauge"}
OPERATIONS = (CHECKOUT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_every_log_event_of_the_sources_has_a_meaning_and_every_meaning_an_event() -> None:
    assert sorted({event.name for event in log_events(CHECKOUT)}) == sorted(MEANINGS)


def test_every_metric_of_ours_is_listed_once() -> None:
    ours = {family.name for family in REGISTRY.collect() if family.name.startswith("grafient_")}
    listed = [re.sub("_(total|info)$", "", row.name) for row in metric_rows()]

    assert sorted(listed) == sorted(ours)
    assert len({id(metric) for _, metrics in EXPORTED_BY for metric in metrics}) == len(listed)


@pytest.mark.parametrize("row", metric_rows(), ids=lambda row: row.name)
def test_a_name_has_the_prefix_and_its_unit_and_no_label_names_a_customer(row: MetricRow) -> None:
    assert row.name.startswith("grafient_")
    assert row.name.endswith(UNITS) or row.type in WITHOUT_UNIT
    assert not {"account_id", "integration_id", "team_id", "label", "key"} & {*row.labels}
    assert row.meaning


def test_what_the_runbooks_name_exists() -> None:
    names = {row.name for row in metric_rows()}
    assert set(re.findall(r"grafient_[a-z_]+", OPERATIONS)) <= names

    shared = [re.sub(r"<[a-z]+>", "[a-z_]+", name) for name in MEANINGS if "<" in name]
    logged = set(re.findall(r"\(?[Ll]ogs? (?:\w+ )?`([a-z_]+\.[a-z_]+)`", OPERATIONS))
    assert logged
    assert [
        name for name in logged if name not in MEANINGS and not any(re.fullmatch(one, name) for one in shared)
    ] == []


def test_the_groups_of_services_are_those_that_take_part_in_topics() -> None:
    assert {service for services, _ in EXPORTED_BY for service in services} == {*ACCESS, "console"} - {"cron", "webapp"}
