"""Publishing: all replicas acknowledge every record, and a record that would break the producer is rejected before."""

import asyncio
from collections.abc import Coroutine, Iterable
from datetime import datetime
from typing import Any

from aiokafka.errors import KafkaError
from contract.access import ACCESS
from contract.cloudevents import headers_of
from contract.messages import Message
from contract.topics import Topic
from faststream.kafka import KafkaBroker

from common.errors import TransientError
from common.kafka.diagnostics import authorization_hint
from common.metrics import PUBLISHED, declare
from common.watchdog import Watchdog

PUBLISH_DEADLINE = 15.0
"""Seconds; after that it is unknown whether the broker has the record, and it is published again with the same ID."""
ENVELOPE_BYTES = 70
"""Overhead of a record, at most."""


class Publisher:
    """Publishes and waits until the broker has it.

    A record without a key, or too large for its topic, is rejected here: aiokafka assigns its sequence number before
    the broker validates it, so one rejection by the broker would break the idempotent producer.
    """

    def __init__(self, broker: KafkaBroker, service: str, watchdog: Watchdog) -> None:
        self._broker = broker
        self._source = f"/grafient/{service}"
        self._watchdog = watchdog
        for topic in ACCESS[service].writes if service in ACCESS else ():
            declare(PUBLISHED, [topic.name], topic.types)

    async def publish(self, topic: Topic, message: Message, *, key: str, event_id: str, at: datetime) -> None:
        """Publish `message`; `event_id` and `at` are the event's own, so that a second copy is the same event.

        Raises ValueError for what `topic` does not carry, TransientError when it is unknown whether the broker has it.
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
        """Publish raw bytes (None: a tombstone), with the same checks."""
        check_size(topic, body, key=key, headers=headers)
        try:
            async with asyncio.timeout(PUBLISH_DEADLINE):
                await self._broker.publish(
                    body,
                    topic.name,
                    key=key,
                    partition=partition,
                    headers=headers,
                )
        except TimeoutError:
            raise TransientError(f"the broker did not acknowledge a record of {topic.name}") from None
        except KafkaError as error:
            if not error.retriable:
                self._watchdog.fail(f"producer of {topic.name}: {authorization_hint(error) or type(error).__name__}")
            raise TransientError(f"{topic.name}: {type(error).__name__}") from None


async def all_of(publishing: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Publish at the same time; when all have ended, raises the error of the first one that failed."""
    results = await asyncio.gather(*publishing, return_exceptions=True)
    failed = [result for result in results if isinstance(result, BaseException)]
    if failed:
        raise failed[0]


def check_size(topic: Topic, body: bytes | None, *, key: bytes, headers: dict[str, str]) -> None:
    """Raises ValueError for a record without a key or too large for `topic`."""
    if not key:
        raise ValueError(f"a record of {topic.name} needs a key")
    size = len(body or b"") + len(key) + sum(len(name) + len(value.encode()) for name, value in headers.items())
    if size + ENVELOPE_BYTES > topic.max_record_bytes:
        raise ValueError(f"a record of {topic.name} has at most {topic.max_record_bytes} bytes, not {size}")
