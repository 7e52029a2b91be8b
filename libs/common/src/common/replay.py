"""Handle a range of a topic again with a service's own code, beside its live traffic: no consumer group, nothing published."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError
from contract.cloudevents import MalformedError, Record, body_of, decode
from contract.messages import Message
from contract.topics import Topic
from contract.tracing import tracing
from sqlalchemy.exc import OperationalError

from common.database import Database, make_engine
from common.errors import TransientError, UnreachableError, is_transient, name_of
from common.kafka.client import make_broker
from common.kafka.consumer import Handler
from common.kafka.dead_letters import DeadLetters
from common.kafka.failure_policy import OnGiveUp
from common.kafka.publisher import Outgoing, Publisher
from common.kafka.ranges import Bound, range_of, reader, records_of
from common.settings import DatabaseUrl, KafkaSettings
from common.watchdog import Watchdog

PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 10.0, 10.0)
"""Seconds before a batch is tried again while the database or the broker is unavailable."""
NOT_CHOSEN = "not_asked_for"

HandleRecords = Callable[[tuple[Record, ...]], Awaitable[Mapping[str, int]]]
"""Returns how the records ended, counted by name, each once."""
Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""


def no_progress(_done: int, _total: int) -> None:
    """Nobody watches."""


class ReplaySettings(KafkaSettings):
    """What a replay needs: the broker, and the service's tables."""

    database_url: DatabaseUrl


Figures = Mapping[str, int | str]
"""What a service holds: counts, and sums as text."""


class ReplayError(UnreachableError):
    """A replay had to stop; what it handled stays handled."""


@dataclass(frozen=True, slots=True)
class ReplayHandlers:
    """What a service can handle again."""

    topics: Mapping[Topic, HandleRecords]
    """Each dead-letters what cannot be handled, and raises only what waiting helps with."""
    state: Callable[[], Awaitable[Figures]]
    """What the service holds, in figures that can be compared."""
    erased: Callable[[], list[dict[str, Any]]] = list
    """What was passed over so far because it was erased, by integration."""


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What to handle again."""

    topic: Topic
    since: Bound = None
    until: Bound = None
    integration_id: str | None = None
    account_id: str | None = None
    dry_run: bool = False

    def chooses(self, record: Record) -> bool:
        """Whether `record` is of the integration and the account."""
        if self.integration_id and record.key != self.integration_id.encode():
            return False
        if not self.account_id:
            return True
        try:
            body = json.loads(body_of(record) or b"null")
        except (MalformedError, ValueError):
            return False
        return isinstance(body, dict) and body.get("account_id") == self.account_id


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay did."""

    topic: str
    dry_run: bool
    read: int
    chosen: int
    """Of those read, the ones of the integration and account of the request."""
    by_type: dict[str, int]
    malformed: int
    counts: dict[str, int]
    """How they ended, by name: the sum is `read`, unless it is a dry run."""
    erased: list[dict[str, Any]]
    """What was passed over because it was erased, by integration."""
    before: Figures
    after: Figures


class NullPublisher(Publisher):
    """Publishes no message: what is handled again was announced before."""

    async def publish_all(self, records: Sequence[Outgoing]) -> None:
        """Do nothing."""


Factory = Callable[[Database, Publisher, DeadLetters], ReplayHandlers]


async def run_replay(
    service: str,
    factory: Factory,
    settings: ReplaySettings,
    request: ReplayRequest,
    *,
    publish_outcomes: bool = False,
    progress: Progress = no_progress,
) -> ReplayReport:
    """Handle `request` with what `factory` builds for `service`. Raises ReplayError where it had to stop."""
    async with AsyncExitStack() as stack:
        try:
            broker = await stack.enter_async_context(make_broker(settings, f"{service}-replay"))
            await broker.connect()
            publisher = Publisher(broker, service, Watchdog())
            outcomes = publisher if publish_outcomes else NullPublisher(broker, service, Watchdog())
            database = Database(make_engine(settings.database_url, schema=service))
            stack.push_async_callback(database.close)
            handlers = factory(database, outcomes, DeadLetters(publisher, service))
            return await replay(handlers, settings, request, progress)
        except TransientError as error:
            raise ReplayError(str(error)) from error
        except (OperationalError, KafkaError) as error:
            reason = f"{name_of(error)}: the database or the broker does not answer"
            raise ReplayError(reason, "check the settings, and replay again") from error


async def replay(
    handlers: ReplayHandlers, settings: KafkaSettings, request: ReplayRequest, progress: Progress = no_progress
) -> ReplayReport:
    """Handle `request`, of a topic that `handlers` has; raises TransientError that names where it had to stop."""
    handle, before = handlers.topics[request.topic], await handlers.state()
    types, counts = Counter[str](), Counter[str]()
    read = chosen = 0
    async with reader(settings) as consumer:
        spans = await range_of(consumer, request.topic, request.since, request.until)
        total = sum(span.count for span in spans.values())
        async for records in records_of(consumer, spans):
            wanted = tuple(filter(request.chooses, records))
            types.update(_type_of(record, request.topic) for record in wanted)
            read, chosen = read + len(records), chosen + len(wanted)
            counts[NOT_CHOSEN] += len(records) - len(wanted)
            if wanted and not request.dry_run:
                counts.update(await _with_retries(handle, wanted))
            progress(read, total)
    malformed = types.pop("", 0)
    after = await handlers.state()
    topic, erased = request.topic.name, handlers.erased()
    return ReplayReport(
        topic, request.dry_run, read, chosen, dict(types), malformed, dict(counts), erased, before, after
    )


def _type_of(record: Record, topic: Topic) -> str:
    """The message's name; empty where the record is malformed."""
    try:
        return type(decode(record, topic).message).__name__
    except MalformedError:
        return ""


async def _with_retries(handle: HandleRecords, records: tuple[Record, ...]) -> Mapping[str, int]:
    """Handle `records`, waiting while the database or the broker is unavailable; raises TransientError that names where to go on.

    Only the attempt that succeeded is counted: it finds what a failed one had written already.
    """
    for pause in (*PAUSES, None):
        try:
            return await handle(records)
        except Exception as error:
            if not is_transient(error) or pause is None:
                first = records[0]
                place = f"{first.topic} partition {first.partition} offset {first.offset}"
                raise TransientError(
                    f"stopped at {place}: {name_of(error.__cause__ or error)}; replay from there"
                ) from error
        await asyncio.sleep(pause)
    raise AssertionError


def single_records(
    topic: Topic,
    handlers: Mapping[type[Message], Handler],
    dead_letters: DeadLetters,
    on_give_up: OnGiveUp | None = None,
) -> HandleRecords:
    """Handle each record alone, by its type; dead-letter what is malformed."""

    async def handle(records: tuple[Record, ...]) -> Mapping[str, int]:
        counts = dict.fromkeys(("handled", "not_ours", "dead_lettered"), 0)
        for record in records:
            try:
                event = decode(record, topic)
                handler = handlers.get(type(event.message))
                if handler is not None:
                    with tracing(event.traceparent):
                        await handler(event)
                counts["not_ours" if handler is None else "handled"] += 1
            except MalformedError as error:
                answered = on_give_up is not None and await on_give_up(record, error)
                await dead_letters.put(record, topic, error, answered=answered)
                counts["dead_lettered"] += 1
        return counts

    return handle
