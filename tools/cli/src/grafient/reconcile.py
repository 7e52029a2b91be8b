"""`grafient reconcile`: whether the ledger holds what was read, day by day and message by message."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import typer
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from common.database import Database, make_engine
from common.events import Record, decode
from common.failures import MalformedError
from common.kafka import client_options
from common.letters import Letter, letters_of
from common.messages import CostRecorded, WindowRead
from common.ranges import range_of, reader, records_of
from common.replaying import ReplaySettings
from common.settings import load
from common.topics import COSTS, DEAD_LETTERS
from ledger import reconciling
from ledger.reconciling import Gap, Said
from rich.progress import Progress

from grafient.moments import Since
from grafient.output import Json, progress_console, show, table

PATIENCE = 10.0
"""Seconds in which what was only just published may still arrive."""
GOOD = frozenset({"held", "stale", "erased", "dead_lettered"})


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not as it was to be."""

    kind: str
    integration_id: str
    account_id: str
    days: str
    detail: str


def reconcile(*, since: Since = None, as_json: Json = False) -> None:
    """Compare the ledger with every message of its topic, and with the days that it was to cover; status 1 where they differ."""
    claims, found = asyncio.run(_reconcile(load(ReplaySettings), since))
    rows = [_row(one) for one in found]
    differences = table("Differences" if rows else "No differences", rows)
    told = {"messages": dict(sorted(claims.items())), "differences": rows}
    if not as_json:
        counted = [{"days said on the topic": state, "count": str(count)} for state, count in sorted(claims.items())]
        show(told, table("Messages", counted), as_json=False)
    show(told, differences, as_json=as_json)
    raise typer.Exit(bool(found))


async def _reconcile(settings: ReplaySettings, since: datetime | None) -> tuple[Counter[str], list[Difference]]:
    database = Database(make_engine(settings.database_url, schema="ledger"))
    try:
        claims, early = await _messages(settings, database, since)
        bad = await _after_a_while(settings, database, early)
        claims["held"] += len(early) - len(bad)
        letters = await _letters(settings) if bad else {}
        lost = [(one, state) for one, state in bad if _place(one) not in letters]
        claims += Counter({"dead_lettered": len(bad) - len(lost)} | Counter(state for _, state in lost))
        async with database.transaction() as connection:
            missing = await reconciling.gaps(connection, datetime.now(UTC).date())
            uneven = await reconciling.uneven(connection)
        found = [_claim(one, state) for one, state in lost]
        return +claims, found + [_gap("not_covered", one) for one in missing] + [
            _gap("sum_differs", one) for one in uneven
        ]
    finally:
        await database.close()


async def _messages(
    settings: ReplaySettings, database: Database, since: datetime | None
) -> tuple[Counter[str], list[tuple[Said, str]]]:
    """How many claims there are of each good state, and the others."""
    counts, bad = Counter[str](), list[tuple[Said, str]]()
    async with reader(settings) as consumer:
        spans = await range_of(consumer, COSTS, since)
        with Progress(console=progress_console, transient=True) as bar:
            task = bar.add_task("comparing messages with the ledger", total=sum(span.count for span in spans.values()))
            async for records in records_of(consumer, spans):
                judged = await _judged(database, [claim for record in records for claim in _claims(record)])
                counts += Counter(state for _, state in judged if state in GOOD)
                bad += [one for one in judged if one[1] not in GOOD]
                bar.advance(task, len(records))
    return counts, bad


def _claims(record: Record) -> list[Said]:
    """What a record says; nothing where it cannot be read, for then it is in the dead letters."""
    try:
        message = decode(record, COSTS).message
    except MalformedError:
        return []
    assert isinstance(message, CostRecorded | WindowRead)  # noqa: S101 - the topic carries nothing else
    return reconciling.said(message, record.partition, record.offset)


async def _judged(database: Database, claims: list[Said]) -> list[tuple[Said, str]]:
    async with database.transaction() as connection:
        return list(zip(claims, await reconciling.states(connection, claims), strict=True))


async def _after_a_while(
    settings: ReplaySettings, database: Database, bad: list[tuple[Said, str]]
) -> list[tuple[Said, str]]:
    """What is still not right once the ledger has come to it, or has had time to."""
    if not bad:
        return []
    admin = AIOKafkaAdminClient(**client_options(settings), client_id="grafient")
    await admin.start()
    try:
        async with asyncio.timeout(PATIENCE):
            while not _has_come_to(bad, await admin.list_consumer_group_offsets(f"ledger.{COSTS.name}")):
                await asyncio.sleep(0.2)
    except TimeoutError:
        pass
    finally:
        await admin.close()
    return [one for one in await _judged(database, [claim for claim, _ in bad]) if one[1] not in GOOD]


def _has_come_to(bad: list[tuple[Said, str]], committed: Mapping[TopicPartition, Any]) -> bool:
    return all(
        (found := committed.get(TopicPartition(COSTS.name, claim.partition))) and found.offset > claim.offset
        for claim, _ in bad
    )


async def _letters(settings: ReplaySettings) -> Mapping[tuple[int, int], Letter]:
    """What the ledger gave up, by place on the topic of costs."""
    async with reader(settings) as consumer:
        spans = await range_of(consumer, DEAD_LETTERS)
        found = letters_of([record async for records in records_of(consumer, spans) for record in records])
    return {
        (one.partition, one.offset): one for one in found.values() if (one.service, one.topic) == ("ledger", COSTS.name)
    }


def _place(claim: Said) -> tuple[int, int]:
    return claim.partition, claim.offset


def _claim(claim: Said, state: str) -> Difference:
    place = f"partition {claim.partition} offset {claim.offset}: {claim.usd} USD, reading {claim.reading_id}"
    return Difference(state, str(claim.integration_id), claim.account_id, str(claim.day), place)


def _gap(kind: str, gap: Gap) -> Difference:
    days = str(gap.first_day) if gap.first_day == gap.last_day else f"{gap.first_day} to {gap.last_day}"
    detail = (
        "no reading made after the day's end" if kind == "not_covered" else "the day's sum is not that of its costs"
    )
    return Difference(kind, str(gap.integration_id), gap.account_id, days, detail)


def _row(one: Difference) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Difference.__slots__}
