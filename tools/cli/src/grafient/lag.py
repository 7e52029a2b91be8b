"""`grafient lag`: what waits on which topic for which service, and since when."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import typer
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from common.kafka.client import client_options
from common.kafka.ranges import Range, Span, range_of, reader, records_of
from common.kafka.tolerant_consumer import TolerantConsumer
from common.settings import KafkaSettings, load
from contract.access import consumers_of
from contract.topics import TOPICS, Topic

from grafient.cli.output import Json, show, table

LATE_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a service is behind on a topic."""

    service: str
    topic: str
    waiting: int
    """Records that are not handled yet."""
    since: datetime | None
    """When the oldest of them was written."""


def lag(*, as_json: Json = False) -> None:
    """Say what waits for each service, and since when; status 1 where something waits for over a minute."""
    found = asyncio.run(lags(load(KafkaSettings)))
    rows = [
        {
            "service": one.service,
            "topic": one.topic,
            "waiting": str(one.waiting),
            "since": f"{one.since:%Y-%m-%d %H:%M:%S}Z" if one.since else "",
        }
        for one in found
    ]
    show(rows, table("What waits", rows, right=frozenset({"waiting"})), as_json=as_json)
    now = datetime.now(UTC)
    raise typer.Exit(any(one.since and now - one.since > LATE_AFTER for one in found))


async def lags(settings: KafkaSettings) -> list[Lag]:
    """One line a service and topic."""
    admin = AIOKafkaAdminClient(**client_options(settings), client_id="grafient")
    await admin.start()
    try:
        async with reader(settings) as consumer:
            return [await _lag(admin, consumer, service, topic) for topic in TOPICS for service in consumers_of(topic)]
    finally:
        await admin.close()


async def _lag(admin: AIOKafkaAdminClient, consumer: TolerantConsumer, service: str, topic: Topic) -> Lag:
    committed = await admin.list_consumer_group_offsets(f"{service}.{topic.name}")
    left = not_committed(await range_of(consumer, topic), committed)
    return Lag(service, topic.name, sum(span.count for span in left.values()), await _oldest(consumer, left))


def not_committed(whole: Range, committed: Mapping[TopicPartition, object]) -> dict[TopicPartition, Span]:
    """What is left of `whole`; a group that has committed nothing begins at the start."""
    offsets = {one: int(getattr(committed.get(one), "offset", -1)) for one in whole}
    return {
        one: Span(max(span.first, offsets[one]), span.end) for one, span in whole.items() if span.end > offsets[one]
    }


async def _oldest(consumer: TolerantConsumer, left: Mapping[TopicPartition, Span]) -> datetime | None:
    """When the first unread record of all partitions was written."""
    firsts = {one: Span(span.first, span.first + 1) for one, span in left.items() if span.count}
    stamps = [record.timestamp async for records in records_of(consumer, firsts, at_most=1) for record in records]
    return datetime.fromtimestamp(min(stamps) / 1000, UTC) if stamps else None
