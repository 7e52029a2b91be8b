"""`grafient reconcile`: whether the ledger holds what was read, day by day and message by message."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from aiokafka import TopicPartition
from common.database import Database
from common.errors import UnreachableError
from common.hardening import disable_core_dumps
from common.kafka.client import admin_client
from common.kafka.ranges import range_of, reader, records_of
from common.replay import ReplaySettings
from common.settings import load
from contract.cloudevents import MalformedError, Record, decode
from contract.messages import CostRecorded, WindowRead
from contract.problems import Code
from contract.topics import COSTS
from ledger.operations import reconcile as ledger_reconcile
from ledger.operations.reconcile import Claim, Gap, State
from syncer.operations.ask_xai import AskSettings, WindowAnswer, ask

from grafient.cli.database import tables_of
from grafient.cli.operations import run_operation
from grafient.cli.output import Json, print_out, show, table
from grafient.cli.progress import progress_bar
from grafient.cli.time_options import Since
from grafient.cli.topics import committed
from grafient.dead_letters.topic import read_dead_letters
from grafient.reconcile.ask_xai import MOVED, Difference, compare

PATIENCE = 10.0
"""Seconds in which what was published just now may still arrive."""
EARLIEST = datetime.min.replace(tzinfo=UTC)
GOOD = frozenset({"held", "stale", "erased", "dead_lettered"})
States = list[tuple[Claim, State]]


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
    """Compare the ledger with every message of its topic, and with the days that it should cover; status 1 where they differ.

    With --ask-xai also with xAI's present answers. What xAI changed since a reading that is not the last one has `moved`:
    it is read again by itself, and is no difference.
    """
    settings = load(ReplaySettings)
    answers = _ask(since or EARLIEST, integration) if ask_xai else None
    claims, found = run_operation("ledger", _reconcile(settings, since, answers or ()))
    report: dict[str, Any] = {
        "messages": dict(sorted(claims.items())),
        "differences": [asdict(one) for one in found if one.kind != MOVED],
    }
    if answers is not None:
        report["asked"] = len({one.integration_id for one in answers})
        report["moved"] = [asdict(one) for one in found if one.kind == MOVED]
    if as_json:
        show(report, "", as_json=True)
    else:
        _print(report)
    raise typer.Exit(bool(report["differences"]))


def _ask(since: datetime, integration_id: UUID | None) -> list[WindowAnswer]:
    disable_core_dumps()  # keys are open in this process from here on
    settings = load(AskSettings)
    with progress_bar("asking xAI") as progress:
        answers = run_operation("syncer", ask(settings, since.date(), integration_id, progress), log_level="ERROR")
    if answers and all(one.code == Code.XAI_UNAVAILABLE for one in answers):
        raise UnreachableError("xAI does not answer", "check XAI_BASE_URL and the network, and ask again later")
    return answers


def _print(report: dict[str, Any]) -> None:
    counted = [{"days on the topic": state, "count": count} for state, count in report["messages"].items()]
    show(counted, table("Messages", counted), as_json=False)
    if "asked" in report:
        print_out(f"xAI was asked about {report['asked']} integrations.")
    if moved := report.get("moved"):
        show(moved, table("Moved since the last reading, and read again by themselves", moved), as_json=False)
    rows = report["differences"]
    show(report, table("Differences", rows) if rows else "No differences.", as_json=False)


async def _reconcile(
    settings: ReplaySettings, since: datetime | None, answers: Sequence[WindowAnswer]
) -> tuple[Counter[str], list[Difference]]:
    """How many claims there are of each state, and every difference."""
    async with tables_of("ledger", settings.database_url) as database:
        claims, early = await _messages(settings, database, since)
        bad = await _after_a_while(settings, database, early)
        claims["held"] += len(early) - len(bad)
        dead_lettered = await _dead_lettered(settings) if bad else set()
        lost = [(one, state) for one, state in bad if (one.partition, one.offset) not in dead_lettered]
        claims += Counter({"dead_lettered": len(bad) - len(lost)} | Counter(state.name for _, state in lost))
        async with database.transaction() as connection:
            missing = await ledger_reconcile.gaps(connection, datetime.now(UTC).date())
            uneven = await ledger_reconcile.uneven(connection)
        found = [_lost(one, state) for one, state in lost]
        found += [_gap("not_covered", one) for one in missing] + [_gap("sum_differs", one) for one in uneven]
        return +claims, found + await compare(database, answers)


async def _messages(
    settings: ReplaySettings, database: Database, since: datetime | None
) -> tuple[Counter[str], States]:
    """How many claims there are of each good state, and the others."""
    counts, bad, read = Counter[str](), States(), 0
    async with reader(settings) as consumer:
        spans = await range_of(consumer, COSTS, since)
        total = sum(span.count for span in spans.values())
        with progress_bar("comparing messages with the ledger") as progress:
            async for records in records_of(consumer, spans):
                states = await _states(database, [claim for record in records for claim in _claims(record)])
                counts += Counter(state.name for _, state in states if state.name in GOOD)
                bad += [one for one in states if one[1].name not in GOOD]
                progress(read := read + len(records), total)
    return counts, bad


def _claims(record: Record) -> list[Claim]:
    """What a record claims; nothing where it cannot be read, for then it is dead-lettered."""
    try:
        message = decode(record, COSTS).message
    except MalformedError:
        return []
    assert isinstance(message, CostRecorded | WindowRead)  # noqa: S101 - the topic carries nothing else
    return ledger_reconcile.claims_of(message, record.partition, record.offset)


async def _states(database: Database, claims: list[Claim]) -> States:
    async with database.transaction() as connection:
        return list(zip(claims, await ledger_reconcile.states(connection, claims), strict=True))


async def _after_a_while(settings: ReplaySettings, database: Database, bad: States) -> States:
    """What is still wrong once the ledger has handled it, or has had time to."""
    if not bad:
        return []
    last = dict(sorted((claim.partition, claim.offset) for claim, _ in bad))
    try:
        async with asyncio.timeout(PATIENCE), admin_client(settings, "grafient") as admin:
            while not _is_past(last, await committed(admin, "ledger", COSTS)):
                await asyncio.sleep(0.2)
    except TimeoutError:
        pass
    return [one for one in await _states(database, [claim for claim, _ in bad]) if one[1].name not in GOOD]


def _is_past(last: Mapping[int, int], offsets: Mapping[TopicPartition, int]) -> bool:
    return all(offsets.get(TopicPartition(COSTS.name, partition), -1) > offset for partition, offset in last.items())


async def _dead_lettered(settings: ReplaySettings) -> set[tuple[int, int]]:
    """Partition and offset of the costs that the ledger dead-lettered."""
    found = (await read_dead_letters(settings)).values()
    return {(one.partition, one.offset) for one in found if (one.service, one.topic) == ("ledger", COSTS.name)}


def _lost(claim: Claim, state: State) -> Difference:
    detail = f"partition {claim.partition} offset {claim.offset}: {claim.usd} USD, reading {claim.reading_id}"
    if state.columns:
        detail = f"other in the ledger: {state.columns}; {detail}"
    return Difference(state.name, str(claim.integration_id), claim.account_id, str(claim.day), detail)


def _gap(kind: str, gap: Gap) -> Difference:
    days = str(gap.first_day) if gap.first_day == gap.last_day else f"{gap.first_day} to {gap.last_day}"
    detail = (
        "no reading made after the day's end" if kind == "not_covered" else "the day's sum is not that of its costs"
    )
    return Difference(kind, str(gap.integration_id), gap.account_id, days, detail)
