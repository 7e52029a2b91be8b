"""`grafient reconcile`: whether the ledger holds what was read, day by day and message by message."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from common.database import Database, make_engine
from common.kafka.client import client_options
from common.kafka.ranges import range_of, reader, records_of
from common.replay import ReplaySettings
from common.settings import load
from contract.cloudevents import MalformedError, Record, decode
from contract.messages import CostRecorded, WindowRead
from contract.topics import COSTS, DEAD_LETTERS
from ledger.operations import reconcile as ledger_reconcile
from ledger.operations.reconcile import Gap, Said
from rich.progress import Progress

from grafient.cli.output import Json, console, progress_console, show, table
from grafient.cli.time_options import Since
from grafient.dead_letters.letters import Letter, letters_of
from grafient.reconcile.ask_xai import MOVED, Difference, ask, compare

PATIENCE = 10.0
"""Seconds in which what was only just published may still arrive."""
EARLIEST = datetime.min.replace(tzinfo=UTC)
GOOD = frozenset({"held", "stale", "erased", "dead_lettered"})


def reconcile(
    *,
    since: Since = None,
    ask_xai: Annotated[
        bool,
        typer.Option(
            "--ask-xai", help="Ask xAI too, twice for each window of 30 days, and compare. Needs KEYRING_FILE."
        ),
    ] = False,
    integration: Annotated[UUID | None, typer.Option(help="Ask xAI about this integration only.")] = None,
    as_json: Json = False,
) -> None:
    """Compare the ledger with every message of its topic, and with the days that it was to cover; status 1 where they differ.

    With --ask-xai also with what xAI says now. What it changed since a reading that is not the last one has `moved`:
    that is read again by itself, and is no difference.
    """
    settings = load(ReplaySettings)
    heard = ask((since or EARLIEST).date(), integration) if ask_xai else None
    claims, found = asyncio.run(_reconcile(settings, since, heard or ()))
    told: dict[str, Any] = {
        "messages": dict(sorted(claims.items())),
        "differences": [_row(one) for one in found if one.kind != MOVED],
    }
    if heard is not None:
        told["asked"] = len({one["integration_id"] for one in heard})
        told["moved"] = [_row(one) for one in found if one.kind == MOVED]
    if as_json:
        show(told, "", as_json=True)
    else:
        _print(told)
    raise typer.Exit(bool(told["differences"]))


def _print(told: dict[str, Any]) -> None:
    counted = [{"days said on the topic": state, "count": str(count)} for state, count in told["messages"].items()]
    show(counted, table("Messages", counted, frozenset({"count"})), as_json=False)
    if "asked" in told:
        console.print(f"xAI was asked about {told['asked']} integrations.")
    if moved := told.get("moved"):
        show(moved, table("Moved since the last reading, and read again by themselves", moved), as_json=False)
    rows = told["differences"]
    show(told, table("Differences", rows) if rows else "No differences.", as_json=False)


async def _reconcile(
    settings: ReplaySettings, since: datetime | None, heard: Sequence[Mapping[str, Any]]
) -> tuple[Counter[str], list[Difference]]:
    database = Database(make_engine(settings.database_url, schema="ledger"))
    try:
        claims, early = await _messages(settings, database, since)
        bad = await _after_a_while(settings, database, early)
        claims["held"] += len(early) - len(bad)
        letters = await _letters(settings) if bad else {}
        lost = [(one, state) for one, state in bad if _place(one) not in letters]
        claims += Counter({"dead_lettered": len(bad) - len(lost)} | Counter(state for _, state in lost))
        async with database.transaction() as connection:
            missing = await ledger_reconcile.gaps(connection, datetime.now(UTC).date())
            uneven = await ledger_reconcile.uneven(connection)
        found = [_claim(one, state) for one, state in lost]
        found += [_gap("not_covered", one) for one in missing] + [_gap("sum_differs", one) for one in uneven]
        return +claims, found + await compare(database, heard)
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
    return ledger_reconcile.said(message, record.partition, record.offset)


async def _judged(database: Database, claims: list[Said]) -> list[tuple[Said, str]]:
    async with database.transaction() as connection:
        return list(zip(claims, await ledger_reconcile.states(connection, claims), strict=True))


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
