"""How every service consumes: one subscriber a topic, one record or batch at a time, one failure policy for both."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

from contract.access import group_of
from contract.cloudevents import Event, Record
from contract.messages import Message
from contract.topics import Topic
from contract.tracing import tracing
from faststream import AckPolicy
from faststream.exceptions import NackMessage
from faststream.kafka import KafkaMessage

from common.kafka.dead_letters import DeadLetters
from common.kafka.delivery import MAX_BATCH
from common.kafka.failure_policy import BatchHandler, FailurePolicy, OnGiveUp, RetryLaterError
from common.kafka.health import backlog_age, subscriber_problem
from common.kafka.placement import Placement
from common.kafka.rebalance import FinishBeforeRevoke
from common.kafka.spans import traced
from common.kafka.tolerant_consumer import TolerantBroker, parse_without_headers
from common.metrics import BACKLOG_AGE
from common.watchdog import Watchdog

BATCH_TIMEOUT_MS = 10
"""FastStream's batch subscriber sleeps this long again after an empty poll: every event would wait for it."""

BATCHES = 4
"""That are delivered and committed together: one is decoded while the database writes the one before it."""

GATHERING = {"fetch_min_bytes": 1_000_000, "fetch_max_wait_ms": 500}
"""Options of aiokafka: the broker answers when it has so much, or after so long."""

H = TypeVar("H")
K = TypeVar("K")
P = ParamSpec("P")
R = TypeVar("R")

Handler = Callable[[Event[Any]], Awaitable[None]]
HandlerTable = Mapping[Topic, Mapping[type[Message], Callable[[H, Event[Any]], Awaitable[None]]]]
"""What a service does with each message: methods of its handlers, not bound to an instance."""
BatchTable = Mapping[Topic, Callable[[H, Sequence[Event[Any]]], Awaitable[None]]]
"""The same for topics that are consumed in batches, whatever the type."""


class Consumers:
    """Subscribes a service's handlers, each topic in a group of its own: `<service>.<topic>`."""

    def __init__(
        self,
        broker: TolerantBroker,
        service: str,
        dead_letters: DeadLetters,
        watchdog: Watchdog,
        *,
        instance_name: str = "",
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`pause` waits the given seconds; tests pass one that does not."""
        self._broker = broker
        self._service = service
        self._dead_letters = dead_letters
        self._watchdog = watchdog
        self._instance_name = instance_name
        self._pause = pause

    def subscribe(
        self,
        handlers: H,
        table: HandlerTable[H],
        batches: BatchTable[H] | None = None,
        on_give_up: OnGiveUp | None = None,
        *,
        gathered: Collection[Topic] = (),
    ) -> None:
        """Consume what the tables name with the methods of `handlers`; a topic of both is consumed in batches.

        Messages of `gathered` topics may wait for half a second, so that more of them are handled together.
        """
        by_topic = bind(batches or {}, handlers)
        for topic, batch in by_topic.items():
            self.on_batch(topic, batch, gathered=topic in gathered)
        for topic, methods in table.items():
            if topic not in by_topic:
                self.on(topic, bind(methods, handlers), on_give_up)

    def on(self, topic: Topic, handlers: Mapping[type[Message], Handler], on_give_up: OnGiveUp | None = None) -> None:
        """Give each message of `topic` to the handler of its type; one without a handler is skipped.

        `on_give_up` is called before a record is dead-lettered: somebody may wait for an answer.
        """

        async def handle(events: Sequence[Event[Message]]) -> None:
            for event in events:
                if handler := handlers.get(type(event.message)):
                    with tracing(event.traceparent):
                        await handler(event)

        self._subscribe(topic, handle, on_give_up)

    def on_batch(
        self, topic: Topic, handle: BatchHandler, *, max_records: int = MAX_BATCH, gathered: bool = False
    ) -> None:
        """Give the messages of `topic` to `handle`, as many as there are up to `max_records`; see `subscribe`."""
        options = {"batch": True, "max_records": BATCHES * max_records, "batch_timeout_ms": BATCH_TIMEOUT_MS}
        self._subscribe(topic, handle, max_records=max_records, options=options | (GATHERING if gathered else {}))

    def _subscribe(
        self,
        topic: Topic,
        handle: BatchHandler,
        on_give_up: OnGiveUp | None = None,
        *,
        max_records: int = 1,
        options: dict[str, Any] | None = None,
    ) -> None:
        """`options`: further ones of FastStream's subscriber."""
        group = group_of(self._service, topic)
        handle = traced(topic, group, handle)
        policy = FailurePolicy(
            topic,
            self._dead_letters,
            self._watchdog,
            pause=self._pause,
            on_give_up=on_give_up,
            placement=Placement(topic, self._broker.partitions_of(topic)),
            max_records=max_records,
        )

        async def consume(records: Any) -> None:  # FastStream models the type, and a protocol has no model
            try:
                await policy.consume(records, handle)
            except RetryLaterError:
                raise NackMessage from None

        listener = FinishBeforeRevoke(topic, forget=policy.forget)
        options = options or {}
        if self._instance_name:
            options["group_instance_id"] = self._instance_name
        subscriber = self._broker.subscriber(
            topic.name,
            group_id=group,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            no_reply=True,
            max_poll_interval_ms=300_000,
            session_timeout_ms=30_000,
            heartbeat_interval_ms=3_000,
            rebalance_timeout_ms=60_000,
            listener=listener,
            parser=parse_without_headers,
            decoder=_records,
            **options,
        )
        subscriber(consume)
        listener.subscriber = subscriber
        self._watchdog.probe(partial(subscriber_problem, subscriber, topic, self._watchdog))
        BACKLOG_AGE.labels(topic.name).set_function(partial(backlog_age, subscriber, policy.unfinished))


def bind(methods: Mapping[K, Callable[Concatenate[H, P], R]], instance: H) -> dict[K, Callable[P, R]]:
    """The methods of `instance` that a table names; an override counts."""
    return {key: getattr(instance, method.__name__) for key, method in methods.items()}


async def _records(message: KafkaMessage) -> tuple[Record, ...]:
    raw: Any = message.raw_message
    return raw if isinstance(raw, tuple) else (raw,)
