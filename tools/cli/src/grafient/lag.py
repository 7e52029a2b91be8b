"""`grafient lag`: what waits on which topic for which service, and since when."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import typer
from aiokafka import TopicPartition
from common.kafka.client import admin_client
from common.kafka.ranges import Span, range_of, reader, records_of
from common.kafka.tolerant_consumer import TolerantConsumer
from common.settings import KafkaSettings, load
from contract.topics import TOPICS

from grafient.cli.output import Json, show, table
from grafient.cli.topics import HANDLED_BY, committed, not_committed

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
    """Show what waits for each service, and since when; status 1 where something waits for over a minute."""
    found = asyncio.run(lags(load(KafkaSettings)))
    rows = [asdict(one) for one in found]
    show(rows, table("What waits", rows), as_json=as_json)
    now = datetime.now(UTC)
    raise typer.Exit(any(one.since and now - one.since > LATE_AFTER for one in found))


async def lags(settings: KafkaSettings) -> list[Lag]:
    """One line a service and topic."""
    found = []
    async with admin_client(settings, "grafient") as admin, reader(settings) as consumer:
        for topic in TOPICS:
            for service in HANDLED_BY.get(topic.name, ()):
                offsets = await committed(admin, service, topic)
                left = not_committed(await range_of(consumer, topic), offsets)
                waiting = sum(span.count for span in left.values())
                found.append(Lag(service, topic.name, waiting, await _oldest(consumer, left)))
    return found


async def _oldest(consumer: TolerantConsumer, left: Mapping[TopicPartition, Span]) -> datetime | None:
    """When the first unread record of all partitions was written."""
    firsts = {one: Span(span.first, span.first + 1) for one, span in left.items() if span.count}
    stamps = [record.timestamp async for records in records_of(consumer, firsts, at_most=1) for record in records]
    return datetime.fromtimestamp(min(stamps) / 1000, UTC) if stamps else None
