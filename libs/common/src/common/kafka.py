"""The way to the broker: settings that lose nothing, a publisher that refuses what would break it."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAuthorizationFailedError
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLScram512

from common.events import headers_of
from common.failures import TransientError
from common.messages import Message
from common.metrics import PUBLISHED
from common.progress import Progress
from common.reaching import GRANTING, NotLetInError, closed, refusal
from common.records import PatientBroker
from common.settings import KafkaSettings, StartRefusedError
from common.topics import MAX_DEAD_LETTER_BYTES, Topic

PUBLISH_DEADLINE = 15.0
"""Seconds; after that it is unknown whether the broker has the record, and it is published again with the same ID."""
ENVELOPE_BYTES = 70
"""What Kafka adds to a record, at most."""


class TopicsError(Exception):
    """A topic is missing or has another partition count: the service refuses to start."""


def make_broker(settings: KafkaSettings, service: str) -> KafkaBroker:
    """A broker that is not connected yet: all replicas acknowledge, no topic is created, handlers get what was decoded."""
    return PatientBroker(
        bootstrap_servers(settings),
        client_id=service,
        security=_security(settings),
        acks="all",
        enable_idempotence=True,
        allow_auto_create_topics=False,
        max_request_size=MAX_DEAD_LETTER_BYTES + 100_000,
        apply_types=False,
        graceful_timeout=15.0,
        logger=logging.getLogger("faststream"),
        log_level=logging.DEBUG,
    )


def bootstrap_servers(settings: KafkaSettings) -> list[str]:
    return [one for server in settings.kafka_bootstrap_servers.split(",") if (one := server.strip())]


def client_options(settings: KafkaSettings) -> dict[str, object]:
    """What aiokafka's own clients need to reach the same broker."""
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
    """Raises TopicsError where a topic is missing, closed to us, or has another number of partitions than declared.

    Raises NotLetInError where the broker refuses us, or is not one that is trusted.
    """
    async with operating(settings, "topics-check") as admin:
        described = await admin.describe_topics([topic.name for topic in topics])
    found = {one["topic"]: one for one in described}
    wrong = [sentence for topic in topics if (sentence := _complaint(topic, found[topic.name], settings))]
    if wrong:
        raise TopicsError("; ".join(wrong))


@asynccontextmanager
async def operating(settings: KafkaSettings, client_id: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """What asks the broker about itself; raises NotLetInError with the reason where it does not let us in."""
    options = client_options(settings)
    admin = AIOKafkaAdminClient(**options, client_id=client_id, request_timeout_ms=10_000)
    try:
        try:
            await admin.start()
        except KafkaConnectionError:
            if reason := await refusal(options):
                raise NotLetInError(reason) from None
            raise
        yield admin
    finally:
        await admin.close()


def _complaint(topic: Topic, found: dict[str, Any], settings: KafkaSettings) -> str | None:
    partitions = 0 if found["error_code"] else len(found["partitions"])
    if partitions == topic.partitions:
        return None
    if found["error_code"] == TopicAuthorizationFailedError.errno:
        return f"{settings.kafka_username or 'everybody'} may not use topic {topic.name}: {GRANTING}"
    if not partitions:
        return f"topic {topic.name} is missing: run `grafient topics apply`"
    return f"topic {topic.name} has {partitions} partitions instead of {topic.partitions}: its keys would change their order"


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


class Publisher:
    """Publishes and waits until the broker has it.

    A record without a key, or larger than its topic takes, is refused here: aiokafka numbers a record before the broker
    judges it, so one refusal by the broker would break the idempotent producer for good.
    """

    def __init__(self, broker: KafkaBroker, service: str, progress: Progress) -> None:
        self._broker = broker
        self._source = f"/grafient/{service}"
        self._progress = progress

    async def publish(self, topic: Topic, message: Message, *, key: str, event_id: str, at: datetime) -> None:
        """Publish `message`; `event_id` and `at` are the event's own, so that a second copy is the same event.

        Raises ValueError for what `topic` does not take, TransientError when it is unknown whether the broker has it.
        """
        if type(message).__name__ not in topic.types:
            raise ValueError(f"{topic.name} does not carry {type(message).__name__}")
        headers = headers_of(message, event_id=event_id, source=self._source, at=at)
        body = message.model_dump_json().encode()
        await self.send(topic, body, key=key.encode(), headers=headers)
        PUBLISHED.labels(topic.name, type(message).__name__).inc()

    async def send(
        self, topic: Topic, body: bytes | None, *, key: bytes, headers: dict[str, str], partition: int | None = None
    ) -> None:
        """Publish raw bytes (None: a tombstone), with the same care."""
        check_size(topic, body, key=key, headers=headers)
        try:
            async with asyncio.timeout(PUBLISH_DEADLINE):
                await self._broker.publish(
                    body,
                    topic.name,
                    key=key,
                    partition=partition,
                    headers=headers,
                    correlation_id=headers.get("ce_id", "-"),
                )
        except TimeoutError:
            raise TransientError(f"the broker did not acknowledge a record of {topic.name}") from None
        except KafkaError as error:
            if not error.retriable:
                self._progress.fail(f"producer of {topic.name}: {closed(error) or type(error).__name__}")
            raise TransientError(f"{topic.name}: {type(error).__name__}") from None


async def all_of(publishing: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Publish at the same time; when all have ended, raises what the first one that failed raised."""
    results = await asyncio.gather(*publishing, return_exceptions=True)
    failed = [result for result in results if isinstance(result, BaseException)]
    if failed:
        raise failed[0]


def check_size(topic: Topic, body: bytes | None, *, key: bytes, headers: dict[str, str]) -> None:
    """Raises ValueError for a record without a key or larger than `topic` takes."""
    if not key:
        raise ValueError(f"a record of {topic.name} needs a key")
    size = len(body or b"") + len(key) + sum(len(name) + len(value.encode()) for name, value in headers.items())
    if size + ENVELOPE_BYTES > topic.max_record_bytes:
        raise ValueError(f"a record of {topic.name} has at most {topic.max_record_bytes} bytes, not {size}")
