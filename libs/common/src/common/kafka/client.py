"""Connections to the broker: client settings that lose nothing, and the check of the topics at the start."""

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from contract.topics import MAX_DEAD_LETTER_BYTES, Topic, count_to_grow_to
from faststream.security import BaseSecurity, SASLScram512

from common.kafka.aiokafka_internals import use_steady_clients
from common.kafka.diagnostics import GRANTING, BrokerRefusedError, diagnose_connection
from common.kafka.tolerant_consumer import TolerantBroker
from common.settings import KafkaSettings, StartRefusedError

MAX_BATCH_BYTES = 256 * 1024
"""Of the records that are sent to a partition together; with the default of 16 KiB a window of 30 days took 4 round trips.

Every topic takes larger ones.
"""

PRODUCE_MS = 10_000
"""Until a record is sent again, to whichever broker leads its partition by then."""


class TopicsError(Exception):
    """A topic is missing or has another partition count: the service refuses to start."""


def make_broker(settings: KafkaSettings, service: str) -> TolerantBroker:
    """A broker that is not connected yet: all replicas acknowledge, and no topic is created."""
    use_steady_clients()
    broker = TolerantBroker(
        bootstrap_servers(settings),
        request_timeout_ms=PRODUCE_MS,
        client_id=service,
        security=_security(settings),
        acks="all",
        enable_idempotence=True,
        allow_auto_create_topics=False,
        max_request_size=MAX_DEAD_LETTER_BYTES + 100_000,
        max_batch_size=MAX_BATCH_BYTES,
        apply_types=False,
        graceful_timeout=15.0,
        logger=logging.getLogger("faststream"),
        log_level=logging.DEBUG,
    )
    broker.partitions_of = settings.partitions_of
    return broker


def bootstrap_servers(settings: KafkaSettings) -> list[str]:
    return [one for server in settings.kafka_bootstrap_servers.split(",") if (one := server.strip())]


def client_options(settings: KafkaSettings) -> dict[str, object]:
    """Options of aiokafka's own clients for the same broker."""
    use_steady_clients()
    options: dict[str, object] = {
        "bootstrap_servers": bootstrap_servers(settings),
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        options["ssl_context"] = _tls(settings)
    if settings.kafka_security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": settings.kafka_password.get_secret_value(),
        }
    return options


async def check_topics(settings: KafkaSettings, topics: tuple[Topic, ...]) -> None:
    """Raises TopicsError for a topic that is missing, not accessible, or has not the agreed number of partitions.

    Raises BrokerRefusedError where the broker rejects the connection, or is not trusted.
    """
    async with admin_client(settings, "topics-check") as admin:
        described = await admin.describe_topics([topic.name for topic in topics])
    found = {one["topic"]: one for one in described}
    wrong = [sentence for topic in topics if (sentence := _problem(topic, found[topic.name], settings))]
    if wrong:
        raise TopicsError("; ".join(wrong))


@asynccontextmanager
async def admin_client(settings: KafkaSettings, client_id: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client; raises BrokerRefusedError with the reason where the broker rejects it."""
    options = client_options(settings)
    admin = AIOKafkaAdminClient(**options, client_id=client_id, request_timeout_ms=10_000)
    try:
        try:
            await admin.start()
        except KafkaConnectionError:
            if reason := await diagnose_connection(options):
                raise BrokerRefusedError(reason) from None
            raise
        yield admin
    finally:
        await admin.close()


def _problem(topic: Topic, found: dict[str, Any], settings: KafkaSettings) -> str | None:
    partitions, agreed = 0 if found["error_code"] else len(found["partitions"]), settings.partitions_of(topic)
    if partitions == agreed:
        return None
    if found["error_code"] == TopicAuthorizationFailedError.errno:
        return f"{settings.kafka_username or 'everybody'} may not use topic {topic.name}: {GRANTING}"
    if not partitions:
        return f"topic {topic.name} is missing: run `grafient topics apply`"
    return (
        f"topic {topic.name} has {partitions} partitions instead of {agreed}: the order of its keys would break; stop all "
        f"services, run `grafient topics grow {topic.name} --partitions {count_to_grow_to(agreed, partitions)}`, and set "
        "TOPIC_PARTITIONS as it prints"
    )


def _tls(settings: KafkaSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.kafka_ca_file)
    except (OSError, ssl.SSLError):
        raise StartRefusedError(f"KAFKA_CA_FILE: {settings.kafka_ca_file} holds no certificate in PEM") from None


def _security(settings: KafkaSettings) -> BaseSecurity | None:
    protocol = settings.kafka_security_protocol
    context = _tls(settings) if protocol.endswith("SSL") else None
    if protocol.startswith("SASL"):
        return SASLScram512(
            settings.kafka_username,
            settings.kafka_password.get_secret_value(),
            ssl_context=context,
            use_ssl=context is not None,
        )
    return BaseSecurity(ssl_context=context, use_ssl=True) if context else None
