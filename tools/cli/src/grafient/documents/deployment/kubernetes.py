"""Kubernetes manifests of what the system needs: Strimzi's Kafka with topics and users, CloudNativePG's Postgres."""

from itertools import groupby
from typing import Any

import yaml
from common.migrations import CONNECTIONS, SERVICES
from contract.topics import DURABLE_REPLICAS, TOPICS, Topic

from grafient.topics.acls import Grant, declared

Manifest = dict[str, Any]
CLUSTER = "grafient"
OPERATOR = "operator"
KAFKA_VERSION = "4.3.1"
"""The broker that the tests run on."""
STRIMZI = "kafka.strimzi.io/v1"
MAINTENANCE_CONNECTIONS = 20
"""Of Postgres itself, migrations and operators, beside those of the services' roles."""
BROKER = {
    "auto.create.topics.enable": False,
    "default.replication.factor": DURABLE_REPLICAS,
    "min.insync.replicas": 2,
    "offsets.topic.replication.factor": DURABLE_REPLICAS,
    "transaction.state.log.replication.factor": DURABLE_REPLICAS,
    "transaction.state.log.min.isr": 2,
    "unclean.leader.election.enable": False,
}


def manifests() -> dict[str, str]:
    """By the file's name: its text."""
    return {
        "strimzi.yaml": _text("Strimzi 1.2 or newer: the brokers, the topics and who may use them.", _strimzi()),
        "cloudnativepg.yaml": _text("CloudNativePG 1.26 or newer: the database.", [_database()]),
    }


def _text(title: str, documents: list[Manifest]) -> str:
    head = f"# {title} Generated from the code by `make docs`; steps are in docs/kubernetes.md.\n"
    return head + yaml.safe_dump_all(documents, sort_keys=False, explicit_start=True, width=120)


def _strimzi() -> list[Manifest]:
    users = groupby(sorted(declared(), key=lambda grant: grant.principal), key=lambda grant: grant.principal)
    return [
        _pool("controllers", "controller", "10Gi"),
        _pool("brokers", "broker", "100Gi"),
        _kafka(),
        *map(_topic, TOPICS),
        *(_user(principal.removeprefix("User:"), list(grants)) for principal, grants in users),
        _resource("KafkaUser", OPERATOR, {"authentication": _password_in("grafient-topics")}),
    ]


def _resource(kind: str, name: str, spec: Manifest) -> Manifest:
    labels = {} if kind == "Kafka" else {"labels": {"strimzi.io/cluster": CLUSTER}}
    return {"apiVersion": STRIMZI, "kind": kind, "metadata": {"name": name, **labels}, "spec": spec}


def _pool(name: str, role: str, size: str) -> Manifest:
    volume = {"type": "persistent-claim", "id": 0, "size": size, "deleteClaim": False, "kraftMetadata": "shared"}
    return _resource(
        "KafkaNodePool", name, {"replicas": 3, "roles": [role], "storage": {"type": "jbod", "volumes": [volume]}}
    )


def _kafka() -> Manifest:
    listener = {"name": "tls", "port": 9093, "type": "internal", "tls": True}
    brokers = {
        "version": KAFKA_VERSION,
        "listeners": [listener | {"authentication": {"type": "scram-sha-512"}}],
        "authorization": {"type": "simple", "superUsers": [OPERATOR]},
        "config": BROKER,
    }
    operators: Manifest = {"topicOperator": {}, "userOperator": {}}
    return _resource("Kafka", CLUSTER, {"kafka": brokers, "entityOperator": operators})


def _topic(topic: Topic) -> Manifest:
    spec = {"partitions": topic.partitions, "replicas": DURABLE_REPLICAS}
    return _resource("KafkaTopic", topic.name, spec | {"config": topic.config_with(DURABLE_REPLICAS)})


def _user(principal: str, grants: list[Grant]) -> Manifest:
    rules = [
        {
            "resource": {"type": grant.resource, "name": grant.name, "patternType": _pattern(grant)},
            "operations": [grant.operation.capitalize()],
            "host": grant.host,
        }
        for grant in grants
    ]
    spec = {"authentication": _password_in(f"grafient-{principal}"), "authorization": {"type": "simple", "acls": rules}}
    return _resource("KafkaUser", principal, spec)


def _pattern(grant: Grant) -> str:
    return "prefix" if grant.pattern == "prefixed" else grant.pattern


def _password_in(secret: str) -> Manifest:
    found = {"secretKeyRef": {"name": secret, "key": "kafka_password"}}
    return {"type": "scram-sha-512", "password": {"valueFrom": found}}


def _database() -> Manifest:
    """`grafient migrate` makes the services' schemas and roles, as the one role that may."""
    connections = len(SERVICES) * CONNECTIONS + MAINTENANCE_CONNECTIONS
    owner = {"name": CLUSTER, "login": True, "createrole": True, "passwordSecret": {"name": "grafient-database-owner"}}
    spec = {
        "instances": 3,
        "imageCatalogRef": {
            "apiGroup": "postgresql.cnpg.io",
            "kind": "ClusterImageCatalog",
            "name": "postgresql",
            "major": 18,
        },
        "bootstrap": {
            "initdb": {"database": CLUSTER, "owner": CLUSTER, "secret": {"name": "grafient-database-owner"}},
        },
        "managed": {"roles": [owner]},
        "postgresql": {
            "parameters": {"max_connections": str(connections), "shared_buffers": "1GB"},
            "synchronous": {"method": "any", "number": 1, "dataDurability": "required"},
        },
        "storage": {"size": "50Gi"},
        "walStorage": {"size": "10Gi"},
        "resources": {"requests": {"cpu": "1", "memory": "4Gi"}, "limits": {"memory": "4Gi"}},
    }
    return {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": "grafient-postgres"},
        "spec": spec,
    }
