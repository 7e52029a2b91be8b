"""The chart, as Helm itself renders it: valid, restricted, with settings that the services know."""

from typing import Any

import kubernetes_validate
import pytest
import yaml
from common.migrations import SERVICES as WITH_TABLES
from common.settings import KafkaSettings, Settings
from connector.settings import ConnectorSettings
from console.settings import ConsoleSettings
from contract.access import ACCESS, group_of
from contract.topics import TOPICS
from grafient.migrate import MigrateSettings
from jsonschema import Draft7Validator
from ledger.settings import LedgerSettings
from syncer.settings import SyncerSettings

from tests.deploy.support.chart import (
    CHART,
    OVERLAYS,
    SERVICES,
    Manifest,
    helm,
    needs_helm,
    of_kind,
    pods,
    rendered,
    schema,
    values_of,
)

VERSIONS = [f"1.{minor}" for minor in range(31, int(kubernetes_validate.latest_version().split(".")[1]) + 1)]
OF_OPERATORS = {"ScaledObject", "TriggerAuthentication"}
"""Kinds of KEDA's: no schema of Kubernetes."""
SETTINGS: dict[str, type[Settings]] = {
    "connector": ConnectorSettings,
    "syncer": SyncerSettings,
    "ledger": LedgerSettings,
    "console": ConsoleSettings,
    "migrate": MigrateSettings,
    "topics": KafkaSettings,
    "check": KafkaSettings,
    "cron": KafkaSettings,
}


@pytest.fixture(scope="module", params=OVERLAYS)
def size(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def manifests(size: str) -> list[Manifest]:
    return rendered(size)


@pytest.fixture(scope="module")
def largest() -> list[Manifest]:
    return rendered("high-availability", "--set", "topics.enabled=true")


def allowed(values: dict[str, Any]) -> bool:
    """Whether the schema takes these values beside those of the chart."""
    base = yaml.safe_load((CHART / "values.yaml").read_text())
    base["kafka"]["bootstrapServers"], base["console"]["url"] = "kafka:9092", "https://costs.example.com"
    merged = {key: base[key] | values.get(key, {}) if isinstance(base[key], dict) else base[key] for key in base}
    return Draft7Validator(schema()).is_valid(merged | {key: values[key] for key in values if key not in base})


def test_the_schema_refuses_what_would_fail_later() -> None:
    assert allowed({})
    assert not allowed({"kafka": {"bootstrapServers": "kafka"}}), "no port"
    assert not allowed({"image": {"tag": "latest"}}), "a floating tag"
    assert not allowed({"connector": {"env": {"KAFKA_PASSWORD": "obviously-fake"}}}), "a secret in the values"
    assert not allowed({"ledger": {"replicas": 7}}), "more than there are partitions"
    assert allowed({"ledger": {"replicas": 7}, "kafka": {"topicPartitions": "xai.costs.v1=30"}})
    assert not allowed({"kafka": {"topicPartitions": "30"}}), "no topic"
    assert not allowed({"console": {"url": ""}}), "links of the console need an address"
    assert not allowed({"conector": {}}), "a name that is mistyped"


def test_replicas_are_at_most_the_partitions_of_the_topics() -> None:
    limits = [case["then"]["properties"] for case in schema()["allOf"] if "topicPartitions" in str(case["if"])]
    limit = limits[0]["ledger"]["properties"]["replicas"]["maximum"]

    assert limit == min(topic.partitions for access in ACCESS.values() for topic in access.reads)
    assert limit == max(topic.partitions for topic in TOPICS)


@needs_helm
def test_helm_finds_nothing_to_complain_about(size: str) -> None:
    done = helm("lint", "--strict", "--quiet", str(CHART), *values_of(size))

    assert done.returncode == 0, done.stdout + done.stderr


@needs_helm
@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid(manifests: list[Manifest], version: str) -> None:
    for manifest in manifests:
        if manifest["kind"] not in OF_OPERATORS:
            kubernetes_validate.validate(manifest, version, strict=True)


@needs_helm
def test_every_pod_is_of_the_level_restricted(manifests: list[Manifest]) -> None:
    for name, pod in pods(manifests).items():
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} <= {"secret", "emptyDir"}, name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["limits"]["memory"], name


@needs_helm
def test_every_variable_is_a_setting_and_none_is_a_secret(largest: list[Manifest]) -> None:
    for name, pod in pods(largest).items():
        settings = {field.upper() for field in SETTINGS[name].model_fields}
        for variable in pod["containers"][0].get("env", ()):
            assert variable["name"] in settings, (name, variable["name"])
            assert "secretKeyRef" not in variable.get("valueFrom", {}), (name, variable["name"])


@needs_helm
def test_secrets_are_files_that_others_cannot_read(manifests: list[Manifest]) -> None:
    for name, pod in pods(manifests).items():
        secret = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
        assert secret, name
        assert all(one.get("defaultMode") == 0o440 or "items" in one for one in secret), name
    assert [one for one in manifests if one["kind"] in {"Secret", "ConfigMap"}] == []


@needs_helm
def test_what_does_not_end_is_probed_and_stops_in_time(manifests: list[Manifest]) -> None:
    for name, pod in pods(manifests).items():
        if name in SERVICES:
            (container,) = pod["containers"]
            assert container["startupProbe"]["httpGet"]["path"] == "/livez"
            assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
            assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
            assert pod["terminationGracePeriodSeconds"] > 30


@needs_helm
def test_tables_and_topics_are_made_before_services_start(largest: list[Manifest]) -> None:
    jobs = {name: job["metadata"]["annotations"]["helm.sh/hook"] for name, job in of_kind(largest, "Job").items()}

    assert jobs == {"migrate": "pre-install,pre-upgrade", "topics": "pre-install,pre-upgrade", "check": "test"}
    assert of_kind(largest, "Job")["topics"]["spec"]["template"]["spec"]["containers"][0]["args"] == [
        "topics", "apply", "--replication", "3", "--acls",
    ]  # fmt: skip


@needs_helm
def test_pods_reach_kafka_postgres_names_and_xai_only(largest: list[Manifest]) -> None:
    ports = {
        name: {one["port"] for rule in policy["spec"]["egress"] for one in rule["ports"]}
        for name, policy in of_kind(largest, "NetworkPolicy").items()
    }

    assert ports == {
        "connector": {53, 9093, 5432, 443},
        "syncer": {53, 9093, 5432, 443},
        "ledger": {53, 9093, 5432},
        "console": {53, 5432, 8001, 8003},
        "cron": {53, 9093},
        "topics": {53, 9093},
        "check": {53, 9093},
        "migrate": {53, 5432},
    }
    assert {name for name, one in of_kind(largest, "NetworkPolicy").items() if "ingress" in one["spec"]} == {*SERVICES}


@needs_helm
def test_the_ingress_leads_to_the_apis_and_the_console_over_tls() -> None:
    hosts = [f"ingress.hosts.{name}={name}.example.com" for name in ("connector", "ledger")]
    (ingress,) = [one for one in rendered("production", "--set", ",".join(hosts)) if one["kind"] == "Ingress"]
    paths = {rule["host"]: [one["path"] for one in rule["http"]["paths"]] for rule in ingress["spec"]["rules"]}

    assert paths == {
        "connector.example.com": ["/v1"],
        "ledger.example.com": ["/v1"],
        "costs.example.com": ["/"],
    }, "/metrics and /readyz are for the cluster"
    assert set(ingress["spec"]["tls"][0]["hosts"]) == paths.keys()


@needs_helm
def test_each_service_loses_one_pod_at_a_time(largest: list[Manifest]) -> None:
    budgets = of_kind(largest, "PodDisruptionBudget")

    assert budgets.keys() == {*SERVICES}
    assert {one["spec"]["maxUnavailable"] for one in budgets.values()} == {1}


@needs_helm
def test_services_scale_by_the_lag_of_their_groups_and_the_syncer_by_its_queue(largest: list[Manifest]) -> None:
    triggers = {name: one["spec"]["triggers"] for name, one in of_kind(largest, "ScaledObject").items()}
    by_group = {one["metadata"]["consumerGroup"] for name in ("connector", "ledger") for one in triggers[name]}
    known = {group_of(name, topic) for name in ("connector", "ledger") for topic in ACCESS[name].reads}

    assert by_group == known - {"ledger.xai.integrations.v1"}, "integrations are few"
    assert (
        "FROM syncer.windows WHERE closed_at IS NULL AND decision IS NULL" in triggers["syncer"][0]["metadata"]["query"]
    )
    assert "replicas" not in of_kind(largest, "StatefulSet")["ledger"]["spec"]


@needs_helm
def test_every_service_that_has_tables_is_in_the_chart(largest: list[Manifest]) -> None:
    assert of_kind(largest, "Service").keys() == {*WITH_TABLES}


@needs_helm
def test_an_image_may_be_named_by_its_digest() -> None:
    digest = f"sha256:{'0' * 64}"
    found = pods(rendered("minimal", "--set", f"image.digests.ledger={digest}"))

    assert found["ledger"]["containers"][0]["image"] == f"grafient/ledger@{digest}"
    assert found["cron"]["containers"][0]["image"] == "grafient/grafient:0.1.0"


@needs_helm
def test_services_and_nobody_else_reach_a_collector_of_traces_where_one_is_set() -> None:
    manifests = rendered("production", "--set", "tracing.endpoint=http://collector:4318")
    named = {
        name
        for name, pod in pods(manifests).items()
        if {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"}
        in pod["containers"][0].get("env", ())
    }
    reaching = {
        name
        for name, policy in of_kind(manifests, "NetworkPolicy").items()
        if any({"protocol": "TCP", "port": 4318} in rule["ports"] for rule in policy["spec"]["egress"])
    }

    assert named == reaching == {*SERVICES}
