"""Access at the broker: bring it to what `contract.access` declares, or find where it differs; and the principals' passwords."""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from common.errors import TransientError
from common.settings import KafkaSettings, Settings, StartRefusedError
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from contract.access import ACCESS, BrokerAccess, group_of
from pydantic import SecretStr

DEADLINE = 15.0
ITERATIONS = 8192
"""Of SCRAM; the broker takes 4096 to 16384."""
EVERYBODY = "User:*"
REFUSALS = {
    KafkaError.SECURITY_DISABLED: (
        "the broker has no authorizer, and lets everybody do everything: set its authorizer.class.name"
    ),
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: (
        "KAFKA_USERNAME may not change access: use an operator, one of the broker's super.users"
    ),
}


class Grant(NamedTuple):
    """One entry of the broker's list, in the order and with the names of an AclBinding."""

    resource: str
    """`topic`, `group`, or what else the broker guards."""
    name: str
    pattern: str
    """`literal` or `prefixed`."""
    principal: str
    host: str
    operation: str
    permission: str


def allow(principal: str, resource: str, name: str, operation: str, pattern: str = "literal") -> Grant:
    """What `principal` may do from every host."""
    return Grant(resource, name, pattern, principal, "*", operation, "allow")


@dataclass(frozen=True, slots=True)
class GrantDifference:
    """A grant at the broker, against what is declared."""

    grant: Grant
    state: str
    """`right`, `missing`, `undeclared` (of our principals: removed), `open_to_all` (of everybody: reported, not removed)."""

    def row(self) -> dict[str, str]:
        """For people and programs."""
        grant = self.grant
        resource = f"{grant.resource} {grant.name}{'*' if grant.pattern == 'prefixed' else ''}"
        return {"principal": grant.principal, "may": f"{grant.permission} {grant.operation}", "on": resource} | {
            "state": self.state
        }


class PasswordSettings(Settings):
    """The passwords with which principals authenticate; one that is not given stays as it is."""

    connector_kafka_password: SecretStr | None = None
    syncer_kafka_password: SecretStr | None = None
    ledger_kafka_password: SecretStr | None = None
    cron_kafka_password: SecretStr | None = None
    webapp_kafka_password: SecretStr | None = None

    def given(self) -> dict[str, SecretStr]:
        """By principal."""
        found = {name: getattr(self, f"{name}_kafka_password") for name in ACCESS}
        return {name: password for name, password in found.items() if password is not None}


def declared() -> list[Grant]:
    """Everything that `contract.access` grants."""
    return [grant for access in ACCESS.values() for grant in _of(access)]


def _of(access: BrokerAccess) -> Iterable[Grant]:
    user = f"User:{access.principal}"
    yield from (allow(user, "topic", topic.name, "read") for topic in access.reads)
    yield from (allow(user, "topic", topic.name, "write") for topic in access.writes)
    if access.free_groups:
        yield allow(user, "group", f"{access.principal}.", "read", "prefixed")
    else:
        yield from (allow(user, "group", group_of(access.principal, topic), "read") for topic in access.reads)


def grant_differences(settings: KafkaSettings) -> list[GrantDifference]:
    """One line a grant that is declared or granted; raises StartRefusedError, TransientError."""
    with operators_client(settings) as admin:
        return _differences(_granted(admin))


def apply_grants(settings: KafkaSettings) -> list[GrantDifference]:
    """Grant what is missing, then remove what is not declared; returns what differed before."""
    with operators_client(settings) as admin:
        found = _differences(_granted(admin))
        if missing := [AclBinding(*one.grant) for one in found if one.state == "missing"]:
            _done(admin.create_acls(missing, request_timeout=DEADLINE))
        if undeclared := [AclBindingFilter(*one.grant) for one in found if one.state == "undeclared"]:
            _done(admin.delete_acls(undeclared, request_timeout=DEADLINE))
        _wait_until_applied(admin)
    return found


def set_passwords(settings: KafkaSettings, passwords: dict[str, SecretStr]) -> None:
    """Give principals their passwords; only what SCRAM derives from them leaves this process."""
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    changes = [
        UserScramCredentialUpsertion(name, info, password.get_secret_value().encode())
        for name, password in passwords.items()
    ]
    if changes:
        with operators_client(settings) as admin:
            _done(admin.alter_user_scram_credentials(changes, request_timeout=DEADLINE))


def _differences(granted: set[Grant]) -> list[GrantDifference]:
    wanted = set(declared())
    every = sorted(wanted | granted, key=lambda grant: (grant.principal, *grant))
    return [GrantDifference(grant, _state(grant, wanted, granted)) for grant in every]


def _wait_until_applied(admin: AdminClient) -> None:
    """Wait until the broker shows what was just changed; raises TimeoutError."""
    end = time.monotonic() + DEADLINE
    while any(one.state in {"missing", "undeclared"} for one in _differences(_granted(admin))):
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


def _state(grant: Grant, wanted: set[Grant], granted: set[Grant]) -> str:
    if grant.principal == EVERYBODY:
        return "open_to_all"
    if grant not in granted:
        return "missing"
    return "right" if grant in wanted else "undeclared"


def _granted(admin: AdminClient) -> set[Grant]:
    """What the broker grants to our principals and to everybody; others are ignored.

    confluent-kafka returns an empty list where the broker refuses to describe; it does raise where it refuses to delete.
    """
    ours = {EVERYBODY, *(f"User:{name}" for name in ACCESS)}
    _done(admin.delete_acls([_NOTHING], request_timeout=DEADLINE))
    every = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    found: list[AclBinding] = admin.describe_acls(every, request_timeout=DEADLINE).result(DEADLINE)
    return {_grant(one) for one in found if one.principal in ours}


_NOTHING = AclBindingFilter(*allow("User:nobody", "topic", "no.such.topic", "read"))
"""Matches no grant: deleting it changes nothing."""


def _grant(binding: AclBinding) -> Grant:
    enums = (binding.restype, binding.resource_pattern_type, binding.operation, binding.permission_type)
    resource, pattern, operation, permission = (one.name.lower() for one in enums)
    return Grant(resource, binding.name, pattern, binding.principal, binding.host, operation, permission)


@contextmanager
def operators_client(settings: KafkaSettings) -> Iterator[AdminClient]:
    """A client of librdkafka, which can what aiokafka cannot; what the broker refuses becomes a sentence."""
    try:
        yield AdminClient(librdkafka_options(settings))
    except KafkaException as error:
        reason = error.args[0]
        if (sentence := REFUSALS.get(reason.code())) is not None:
            raise StartRefusedError(sentence) from None
        raise TransientError(f"{reason.name()}: {reason.str()}") from None
    except TimeoutError:
        raise TransientError("the broker does not answer") from None


def librdkafka_options(settings: KafkaSettings) -> dict[str, Any]:
    """The options of `common.kafka.client`, by librdkafka's names."""
    options: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "security.protocol": settings.kafka_security_protocol,
        "client.id": "grafient-acls",
        "log_level": 2,  # what fails is raised; librdkafka would also log it
    }
    if settings.kafka_ca_file is not None:
        options["ssl.ca.location"] = str(settings.kafka_ca_file)
    if settings.kafka_security_protocol.startswith("SASL"):
        options |= {
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": settings.kafka_username,
            "sasl.password": settings.kafka_password.get_secret_value(),
        }
    return options


def _done(futures: dict[Any, Future[Any]]) -> None:
    for future in futures.values():
        future.result(DEADLINE)
