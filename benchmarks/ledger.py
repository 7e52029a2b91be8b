"""How fast one ledger process, with one consumer, brings `xai.costs.v1` into a durable Postgres.

The topic is full before the start; the clock runs from the first poll to the last outcome that the broker acknowledged.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, cast

import typer
from contract.topics import COSTS
from grafient.cli.output import Json
from grafient.cli.tables import Row

from benchmarks.support import peer
from benchmarks.support.baseline import installed
from benchmarks.support.drain import Drained, drain
from benchmarks.support.facts import LABELS, Reading
from benchmarks.support.ledger_tables import check_stored, size_of_days, touched
from benchmarks.support.peer import PEER
from benchmarks.support.plain_copy import PlainCopy
from benchmarks.support.report import Markdown, Report, Runs, machine, median_row, progress, rounded
from benchmarks.support.stack import CURRENT, Build, Stack, running_stack

EXAMPLE = "make bench ARGS='ledger --runs 3 --json'"
FRESH, REPLAYED, EQUAL = "fresh, windows of 30 days", "the same, replayed", "read again, newer and equal"
RESTATED, SHORT, UNPROVEN = "read again, one label restated", "fresh, windows of 8 days", "fresh, without WindowRead"
BEGAN = datetime(2026, 10, 1, 6, tzinfo=UTC)
COPIES = "copies"
"""Database of the plain copy."""
NOT_MEASURED: dict[str, object] = {"days_mb_per_million": None, "rows_touched": None}
"""Of the peer."""


@dataclass(frozen=True, slots=True)
class Step:
    """A filling of the topic, and what is measured with it."""

    name: str
    reading: Reading
    empty: bool = True
    """The tables are empty before; otherwise they hold the days of FRESH."""
    then_replayed: bool = False


def steps(facts: int) -> list[Step]:
    """Each of about `facts` facts, rounded down to whole integrations."""
    long = Reading(max(1, facts // (90 * len(LABELS))), 3, 30, BEGAN)
    short = Reading(max(1, facts // (8 * len(LABELS))), 1, 8, BEGAN)
    later = [replace(long, observed_at=BEGAN + timedelta(days=days)) for days in (1, 2)]
    return [
        Step(FRESH, long, then_replayed=True),
        Step(EQUAL, later[0], empty=False),
        Step(RESTATED, replace(later[1], restated=True), empty=False),
        Step(SHORT, short),
        Step(UNPROVEN, replace(long, proofs=False)),
    ]


def ledger(
    *,
    facts: Annotated[int, typer.Option(min=1000, help="Amounts of a label on a day.")] = 1_000_000,
    baseline: Annotated[str, typer.Option(help="A commit to install and measure in the same run.")] = "",
    with_peer: Annotated[
        bool, typer.Option("--peer", help="Measure Debezium's JDBC sink in the same run; its jars are fetched once.")
    ] = False,
    runs: Runs = 3,
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Facts a second that one ledger stores, as a ratio to a plain COPY (e) on the same Postgres."""
    asyncio.run(_compare(steps(facts), runs, baseline, with_peer=with_peer)).show(as_json=as_json, markdown=markdown)


async def _compare(every: Sequence[Step], runs: int, baseline: str, *, with_peer: bool) -> Report:
    if not baseline:
        return await measure(every, runs, [CURRENT], with_peer=with_peer)
    async with installed(baseline) as other:
        report = await measure(every, runs, [CURRENT, other], with_peer=with_peer)
    return replace(report, settings={**report.settings, "baseline": baseline})


async def measure(every: Sequence[Step], runs: int, builds: Sequence[Build], *, with_peer: bool = False) -> Report:
    """Every step in every build, one build beside the other, `runs` times."""
    facts = every[0].reading.facts
    settings = {"facts": facts, "labels_a_day": len(LABELS), "runs": runs, "durable": "fsync, synchronous_commit"}
    async with running_stack() as stack:
        rows = await measure_on(stack, every, runs, builds, with_peer=with_peer)
    return Report("Ledger", rows, machine() | settings)


async def measure_on(
    stack: Stack, every: Sequence[Step], runs: int, builds: Sequence[Build], *, with_peer: bool = False
) -> list[Row]:
    """One row for each scenario and build, and for what the peer does of it."""
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    copy = PlainCopy(stack.dsn(COPIES), list(LABELS), every[0].reading.facts)
    await stack.create_database(COPIES)
    await copy.prepare()
    for build in builds:
        await stack.create_database(f"empty_{build.name}")
        await stack.migrate(build, f"empty_{build.name}")
    if with_peer:
        await peer.prepare(stack, every[0].reading)
    for step in every:
        await stack.broker.empty(COSTS)
        await stack.broker.fill(COSTS, step.reading.records())
        for run in range(runs):
            for build in builds:
                async for name, row in _measured(stack, copy, step, build, run):
                    progress(f"{name}, run {run + 1}, {build.name}: {row['ratio_to_e']} e")
                    found[name, build.name].append(row)
            if with_peer and step.then_replayed:
                for name in (FRESH, REPLAYED):
                    row = await _peer_row(stack, copy, name, step.reading, run)
                    progress(f"{name}, run {run + 1}, {PEER}: {row['ratio_to_e']} e")
                    found[name, PEER].append(row)
    return compared({key: median_row(rows) for key, rows in found.items()})


def compared(rows: Mapping[tuple[str, str], Row]) -> list[Row]:
    """Rows by scenario and build, each with how many times as fast it is as every other build, where that was measured."""
    others = dict.fromkeys(build for _, build in rows if build != CURRENT.name)
    speeds = {key: cast("float", row["facts_per_s"]) for key, row in rows.items()}
    return [
        dict(row)
        | {
            f"ratio_to_{other}": rounded(speeds[name, build] / speeds[name, other]) if (name, other) in speeds else None
            for other in others
        }
        for (name, build), row in rows.items()
    ]


async def _peer_row(stack: Stack, copy: PlainCopy, name: str, reading: Reading, run: int) -> Row:
    """A message of the peer is one fact."""
    database = f"{PEER}_{run}"
    if name == FRESH:
        await peer.create_database(stack, database)
    plain = await copy.facts_per_second()
    stored = await peer.drain(stack, database, reading)
    return _row(name, PEER, stored.facts_per_second, plain, stored.cpu_us_per_fact, stored.peak_mb) | NOT_MEASURED


async def _measured(
    stack: Stack, copy: PlainCopy, step: Step, build: Build, run: int
) -> AsyncIterator[tuple[str, Row]]:
    database = f"{build.name}_{run}"
    if step.empty:
        await stack.create_database(database, f"empty_{build.name}")
    plain = await copy.facts_per_second()
    drained = await drain(stack, build, database, step.reading)
    await check_stored(stack.dsn(database), step.reading)
    size = await size_of_days(stack.dsn(database))
    yield (
        step.name,
        _drained_row(step.name, build, step.reading, drained, plain)
        | {
            "days_mb_per_million": rounded(size / step.reading.facts) if step.empty else None,
            "rows_touched": None,
        },
    )
    if step.then_replayed:
        before = await touched(stack.dsn(database))
        plain = await copy.facts_per_second()
        drained = await drain(stack, build, database, step.reading)
        after = await touched(stack.dsn(database))
        written = sum(after.written.values()) - sum(before.written.values())
        yield (
            REPLAYED,
            _drained_row(REPLAYED, build, step.reading, drained, plain)
            | {
                "days_mb_per_million": None,
                "rows_touched": f"{written} written, {'none' if after.versions == before.versions else 'some'} locked",
            },
        )


def _drained_row(name: str, build: Build, reading: Reading, drained: Drained, plain: float) -> dict[str, object]:
    cpu_us = 1e6 * drained.cpu_seconds / reading.messages
    return _row(name, build.name, reading.facts / drained.seconds, plain, cpu_us, drained.peak_mb)


def _row(
    name: str, build: str, facts_per_second: float, plain: float, cpu_us: float, peak_mb: float
) -> dict[str, object]:
    return {
        "scenario": name,
        "build": build,
        "ratio_to_e": rounded(facts_per_second / plain),
        "facts_per_s": rounded(facts_per_second),
        "e_facts_per_s": rounded(plain),
        "cpu_us_per_message": rounded(cpu_us),
        "peak_mb": rounded(peak_mb),
    }
