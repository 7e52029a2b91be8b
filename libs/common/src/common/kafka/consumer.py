"""How every service consumes: one subscriber a topic, one record or batch in hand, and one place that sorts failures."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from contract.access import group_of
from contract.cloudevents import Event, Record, decode
from contract.messages import Message
from contract.topics import Topic
from faststream import AckPolicy, BaseMiddleware
from faststream.kafka import KafkaBroker, KafkaMessage

from common.kafka.dead_letters import DeadLetters
from common.kafka.failure_policy import OnGiveUp, SortFailures, Sorting, records_of_message
from common.kafka.health import complaint
from common.kafka.rebalance import FinishBeforeRevoke
from common.kafka.tolerant_consumer import parse_without_headers
from common.watchdog import Watchdog

BATCH_TIMEOUT_MS = 10
"""FastStream's batch subscriber sleeps this long once more after an empty poll: every event would wait for it."""

Handler = Callable[[Event[Any]], Awaitable[None]]
BatchHandler = Callable[[tuple[Record, ...]], Awaitable[None]]


class Consumers:
    """Subscribes a service's handlers, each topic in a group of its own: `<service>.<topic>`."""

    def __init__(
        self,
        broker: KafkaBroker,
        service: str,
        dead_letters: DeadLetters,
        watchdog: Watchdog,
        *,
        instance_name: str = "",
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`pause` waits the given seconds; tests hand in one that does not."""
        self._broker = broker
        self._service = service
        self._dead_letters = dead_letters
        self._watchdog = watchdog
        self._instance_name = instance_name
        self._pause = pause
        self._unread: dict[str, OnGiveUp] = {}

    def on(self, topic: Topic, handlers: Mapping[type[Message], Handler], unread: OnGiveUp | None = None) -> None:
        """Give each message of `topic` to the handler of its type; one that nobody handles is passed over.

        What is given up is told to `unread` first: somebody may wait for an answer.
        """
        if unread is not None:
            self._unread[topic.name] = unread

        async def read(message: KafkaMessage) -> Event[Message]:
            return decode(_one(message.raw_message), topic)

        async def handle(event: Event[Message]) -> None:
            if handler := handlers.get(type(event.message)):
                await handler(event)

        self._subscribe(topic, read, handle)

    def on_batch(self, topic: Topic, handle: BatchHandler, *, max_records: int) -> None:
        """Give raw records in batches; the handler sorts out the bad ones itself.

        A batch that it raises MalformedError for, or fails with again and again, it is given record by record.
        """

        async def read(message: KafkaMessage) -> tuple[Record, ...]:
            return records_of_message(message.raw_message)

        async def handle_batch(records: Any) -> None:  # FastStream would check each record against the handler's types
            await handle(records)

        options = {"max_records": max_records, "batch_timeout_ms": BATCH_TIMEOUT_MS}
        self._subscribe(topic, read, handle_batch, batch=True, **options)

    def _subscribe(self, topic: Topic, read: Any, handle: Any, **options: Any) -> None:
        listener = FinishBeforeRevoke()
        if self._instance_name:
            options["group_instance_id"] = self._instance_name
        subscriber = self._broker.subscriber(
            topic.name,
            group_id=group_of(self._service, topic),
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            no_reply=True,
            max_poll_interval_ms=300_000,
            session_timeout_ms=30_000,
            heartbeat_interval_ms=3_000,
            rebalance_timeout_ms=60_000,
            listener=listener,
            parser=parse_without_headers,
            decoder=read,
            **options,
        )
        subscriber(handle)
        listener.subscriber = subscriber
        self._watchdog.probe(partial(complaint, subscriber, topic, self._watchdog))

    def middleware(self, topics: Mapping[str, Topic]) -> Callable[..., BaseMiddleware[Any, Any]]:
        """What to add to the broker, once: sorts every failure of every subscriber."""
        sorting = Sorting(topics, self._dead_letters, self._watchdog, self._pause, self._unread)
        return partial(SortFailures, sorting=sorting)


def _one(raw: Any) -> Record:
    record: Record = raw
    return record
