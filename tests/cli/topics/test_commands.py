"""What `grafient topics` prints, for people and for programs."""

from dataclasses import asdict

import pytest
from grafient.topics import commands
from grafient.topics.grow import Grown

from tests.support.commands import Completed, in_process, invoke


async def test_check_reports_every_topic_for_programs(kafka: str) -> None:
    found = (await in_process("topics", "check", "--json", env={"KAFKA_BOOTSTRAP_SERVERS": kafka})).json()

    assert {one["state"] for one in found} == {"right"}


def test_a_missing_setting_is_named() -> None:
    failed = invoke("topics", "check", env={"KAFKA_BOOTSTRAP_SERVERS": None})

    assert failed.status == 2
    assert "setting KAFKA_BOOTSTRAP_SERVERS: is not set" in failed.stderr


async def test_replicas_and_their_plan_are_shown(kafka: str) -> None:
    env = {"KAFKA_BOOTSTRAP_SERVERS": kafka}
    found = (await in_process("topics", "replicas", "--json", env=env)).json()
    planned = (await in_process("topics", "replicas", "--plan", "--replication", "1", env=env)).json()

    assert {(one["topic"], one["partition"]) for one in found} >= {("xai.costs.v1", number) for number in range(6)}
    assert planned == {"version": 1, "partitions": []}


async def test_check_fails_and_names_the_next_step(kafka: str) -> None:
    arguments = ("topics", "check", "--replication", "3", "--json")
    found = (await in_process(*arguments, env={"KAFKA_BOOTSTRAP_SERVERS": kafka})).json(status=1)

    assert {one["state"] for one in found} == {"other_replicas"}
    assert all("topics replicas --plan" in one["next"] for one in found)


GROWN = Grown("xai.credentials.v1", 6, 30, 40, 40, 0, "xai.costs.v1=12,xai.credentials.v1=30")


def grown(monkeypatch: pytest.MonkeyPatch, *options: str) -> Completed:
    async def grow(*_: object, **__: object) -> Grown:
        return GROWN

    monkeypatch.setattr(commands, "grow_topic", grow)
    env = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    return invoke("topics", "grow", "xai.credentials.v1", "--partitions", "30", *options, env=env)


def test_a_topic_that_has_grown_is_shown_with_the_setting_that_services_need(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = " ".join(grown(monkeypatch).stdout.split())

    assert "now set TOPIC_PARTITIONS=xai.costs.v1=12,xai.credentials.v1=30 for every service and command" in shown
    assert grown(monkeypatch, "--json").json() == asdict(GROWN)


def test_a_dry_run_names_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = grown(monkeypatch, "--dry-run").stdout

    assert ("Would be done" in shown, "TOPIC_PARTITIONS" in shown) == (True, False)


def test_a_topic_that_is_none_is_refused_with_those_that_are() -> None:
    refused = invoke("topics", "grow", "xai.cost.v1", "--partitions", "30")

    assert (refused.status, "xai.costs.v1" in refused.stderr) == (2, True)
