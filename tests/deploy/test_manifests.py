"""The manifests of Kafka and Postgres are what the code declares."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from common.migrations import CONNECTIONS, SERVICES
from contract.access import ACCESS
from contract.topics import TOPICS
from grafient.documents.deployment.__main__ import files
from grafient.local.jars import KAFKA_VERSION

DEPLOY = Path(__file__).parents[2] / "deploy"


def manifests(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text()))


@pytest.mark.parametrize("name", files())
def test_the_committed_file_is_what_the_code_generates(name: str) -> None:
    assert (DEPLOY / name).read_text() == files()[name], (
        f"deploy/{name} is not what the code generates: run `make docs`"
    )


def test_every_topic_and_every_principal_is_a_resource_of_strimzi() -> None:
    names = {kind: {one["metadata"]["name"] for one in manifests("strimzi.yaml") if one["kind"] == kind} for kind in
             ("KafkaTopic", "KafkaUser")}  # fmt: skip

    assert names["KafkaTopic"] == {topic.name for topic in TOPICS}
    assert names["KafkaUser"] == {*ACCESS, "operator"}


def test_a_user_of_strimzi_may_do_what_its_principal_may() -> None:
    (ledger,) = (one for one in manifests("strimzi.yaml") if one["metadata"]["name"] == "ledger")
    rules = ledger["spec"]["authorization"]["acls"]

    assert {(one["resource"]["name"], *one["operations"]) for one in rules if one["resource"]["type"] == "topic"} == {
        (topic.name, "Read") for topic in ACCESS["ledger"].reads
    } | {(topic.name, "Write") for topic in ACCESS["ledger"].writes}


def test_the_database_takes_the_connections_of_all_roles() -> None:
    (database,) = manifests("cloudnativepg.yaml")

    assert int(database["spec"]["postgresql"]["parameters"]["max_connections"]) > CONNECTIONS * len(SERVICES)


def test_strimzi_runs_the_broker_that_the_tests_run_on() -> None:
    (broker,) = (one for one in manifests("strimzi.yaml") if one["kind"] == "Kafka")

    assert broker["spec"]["kafka"]["version"] == KAFKA_VERSION
