"""Handling a range of a topic again with a service's own code, beside its live traffic: no group, nothing published."""

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from aiokafka.errors import KafkaError
from contract.cloudevents import MalformedError, Record, decode
from contract.messages import Message
from contract.topics import TOPICS, Topic
from sqlalchemy.exc import OperationalError

from common import logs
from common.database import Database, make_engine
from common.errors import TransientError, is_transient, name_of
from common.kafka.client import make_broker
from common.kafka.consumer import Handler
from common.kafka.dead_letters import DeadLetters
from common.kafka.publisher import Publisher
from common.kafka.ranges import Bound, range_of, reader, records_of
from common.settings import DatabaseUrl, KafkaSettings, load
from common.watchdog import Watchdog

PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 10.0, 10.0)
"""Seconds before a batch is tried again while the database is away."""
TOLD_EVERY = 0.2
NOT_ASKED_FOR = "not_asked_for"

Handle = Callable[[tuple[Record, ...]], Awaitable[Mapping[str, int]]]
"""Answers what became of the records, each counted once."""


class ReplaySettings(KafkaSettings):
    """What a replay needs: the broker, and the service's tables."""

    database_url: DatabaseUrl


@dataclass(frozen=True, slots=True)
class Course:
    """What a service can handle again."""

    topics: Mapping[Topic, Handle]
    """Puts what cannot be handled into dead letters by itself; raises only what waiting helps with."""
    state: Callable[[], Awaitable[dict[str, str]]]
    """What the service holds, in figures that can be compared."""
    erased: Callable[[], list[dict[str, Any]]] = list
    """What was passed over so far because it was erased, by integration."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be handled again."""

    topic: Topic
    since: Bound = None
    until: Bound = None
    integration_id: str | None = None
    account_id: str | None = None
    dry_run: bool = False


@dataclass(slots=True)
class Report:
    """What a replay did."""

    topic: str
    dry_run: bool
    read: int = 0
    chosen: int = 0
    """Of those read, the ones that fit the integration and account asked for."""
    by_type: dict[str, int] = field(default_factory=dict)
    malformed: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    """What became of them, by name: the sum is `read`, unless it is a dry run."""
    erased: list[dict[str, Any]] = field(default_factory=list)
    """What was passed over because it was erased, by integration."""
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)


class Quiet(Publisher):
    """Publishes no message: what is handled again was announced before."""

    async def publish(self, topic: Topic, message: Message, *, key: str, event_id: str, at: datetime) -> None:
        """Say nothing."""


Make = Callable[[Database, Publisher, DeadLetters], Course]


def run(service: str, make: Make) -> None:
    """The whole of every service's `replay`: arguments in, lines of JSON out, `{"progress": …}` and at last `{"report": …}`."""
    options = _parser(service).parse_args()
    settings = load(ReplaySettings)
    logs.configure(service, "WARNING", stream=sys.stderr)
    try:
        report = asyncio.run(_run(service, make, settings, asked_of(options), publish=options.publish_outcomes))
    except (TransientError, ValueError) as error:
        sys.exit(str(error))
    except (OperationalError, KafkaError) as error:
        sys.exit(f"{name_of(error)}: the database or the broker does not answer; check the settings, and replay again")
    _tell("report", asdict(report))


async def _run(service: str, make: Make, settings: ReplaySettings, asked: Asked, *, publish: bool) -> Report:
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(make_broker(settings, f"{service}-replay"))
        await broker.connect()
        loud = Publisher(broker, service, Watchdog())
        quiet = Quiet(broker, service, Watchdog())
        database = Database(make_engine(settings.database_url, schema=service))
        stack.push_async_callback(database.close)
        course = make(database, loud if publish else quiet, DeadLetters(loud, service))
        return await replay(
            course, settings, asked, tell=lambda read, total: _tell("progress", {"read": read, "total": total})
        )


async def replay(
    course: Course, settings: KafkaSettings, asked: Asked, tell: Callable[[int, int], None] = lambda _read, _total: None
) -> Report:
    """Handle what is asked for; raises ValueError for a topic that is not handled here, TransientError where it had to stop."""
    if asked.topic not in course.topics:
        raise ValueError(f"{asked.topic.name} is not handled by this service")
    report = Report(asked.topic.name, asked.dry_run, before=await course.state())
    told = 0.0
    async with reader(settings) as consumer:
        spans = await range_of(consumer, asked.topic, asked.since, asked.until)
        total = sum(span.count for span in spans.values())
        async for records in records_of(consumer, spans):
            chosen = tuple(record for record in records if _is_asked_for(record, asked))
            report.read += len(records)
            _count(report, {NOT_ASKED_FOR: len(records) - len(chosen)})
            await _handle(course, chosen, asked, report)
            if time.monotonic() - told > TOLD_EVERY:
                told = time.monotonic()
                tell(report.read, total)
        tell(report.read, total)
    report.erased = course.erased()
    report.after = await course.state()
    return report


async def _handle(course: Course, records: tuple[Record, ...], asked: Asked, report: Report) -> None:
    report.chosen += len(records)
    for record in records:
        try:
            kind = type(decode(record, asked.topic).message).__name__
            report.by_type[kind] = report.by_type.get(kind, 0) + 1
        except MalformedError:
            report.malformed += 1
    if records and not asked.dry_run:
        _count(report, await _patiently(course.topics[asked.topic], records))


def _count(report: Report, counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        report.counts[name] = report.counts.get(name, 0) + count


async def _patiently(handle: Handle, records: tuple[Record, ...]) -> Mapping[str, int]:
    """Handle `records`; while the database or the broker is away, wait. Raises TransientError that names where to go on.

    What counts is the attempt that succeeded: what a failed one had written already is found there.
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
    return {}


def one_by_one(topic: Topic, handlers: Mapping[type[Message], Handler], dead_letters: DeadLetters) -> Handle:
    """Handle each record alone, by its type; what is malformed goes to dead letters."""

    async def handle(records: tuple[Record, ...]) -> Mapping[str, int]:
        counts = dict.fromkeys(("handled", "not_ours", "dead_lettered"), 0)
        for record in records:
            try:
                event = decode(record, topic)
                handler = handlers.get(type(event.message))
                if handler is not None:
                    await handler(event)
                counts["not_ours" if handler is None else "handled"] += 1
            except MalformedError as error:
                await dead_letters.put(record, topic, error)
                counts["dead_lettered"] += 1
        return counts

    return handle


def _is_asked_for(record: Record, asked: Asked) -> bool:
    if asked.integration_id and record.key != asked.integration_id.encode():
        return False
    if not asked.account_id:
        return True
    try:
        found = json.loads(record.value or b"null")
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("account_id") == asked.account_id


def asked_of(options: argparse.Namespace) -> Asked:
    """What the arguments ask for; raises ValueError where there is no such topic."""
    by_name = {topic.name: topic for topic in TOPICS}
    if options.topic not in by_name:
        raise ValueError(f"there is no topic {options.topic}: {', '.join(by_name)}")
    return Asked(
        by_name[options.topic],
        bound(options.since),
        bound(options.until),
        options.integration,
        options.account,
        options.dry_run,
    )


def bound(texts: Sequence[str]) -> Bound:
    """An RFC 3339 instant, or PARTITION:OFFSET pairs; nothing where there are none."""
    pairs = [pair for text in texts if (pair := re.fullmatch(r"(\d{1,9}):(\d{1,18})", text))]
    if pairs:
        return {int(pair[1]): int(pair[2]) for pair in pairs}
    return datetime.fromisoformat(texts[0]) if texts else None


def _parser(service: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {service}.replay", description=__doc__)
    parser.add_argument("topic")
    parser.add_argument(
        "--from", dest="since", action="append", default=[], help="RFC 3339, or PARTITION:OFFSET (again for more)"
    )
    parser.add_argument("--to", dest="until", action="append", default=[], help="the same; not included")
    parser.add_argument("--integration", help="only this one's records")
    parser.add_argument("--account", help="only this one's records")
    parser.add_argument("--dry-run", action="store_true", help="read and count, handle nothing")
    parser.add_argument("--publish-outcomes", action="store_true", help="publish again what handling leads to")
    return parser


def _tell(kind: str, what: dict[str, Any]) -> None:
    print(json.dumps({kind: what}), flush=True)  # noqa: T201 - lines for the program that started this one
