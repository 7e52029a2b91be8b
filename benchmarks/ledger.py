"""How fast one ledger process, with one consumer, brings `xai.costs.v1` into a durable Postgres.

The topic is full before the start; the clock runs from the first poll to the last outcome that the broker acknowledged.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, cast

import typer
from contract.topics import COSTS
from grafient.cli.output import Json
from grafient.cli.tables import Row

from benchmarks.support.baseline import installed
from benchmarks.support.drain import Drained, drain
from benchmarks.support.facts import LABELS, Reading
from benchmarks.support.ledger_tables import check_stored, size_of_days, touched
from benchmarks.support.plain_copy import PlainCopy
from benchmarks.support.report import Markdown, Report, Runs, machine, median_row, progress, rounded
from benchmarks.support.stack import CURRENT, Build, Stack, running_stack

EXAMPLE = "make bench ARGS='ledger --runs 3 --json'"
FRESH, REPLAYED, EQUAL = "fresh, windows of 30 days", "the same, replayed", "read again, newer and equal"
RESTATED, SHORT, UNPROVEN = "read again, one label restated", "fresh, windows of 8 days", "fresh, without WindowRead"
BEGAN = datetime(2026, 10, 1, 6, tzinfo=UTC)
COPIES = "copies"
"""Database of the plain copy."""


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
    runs: Runs = 3,
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Facts a second that one ledger stores, as a ratio to a plain COPY (e) on the same Postgres."""
    asyncio.run(_compare(steps(facts), runs, baseline)).show(as_json=as_json, markdown=markdown)


async def _compare(every: Sequence[Step], runs: int, baseline: str) -> Report:
    if not baseline:
        return await measure(every, runs, [CURRENT])
    async with installed(baseline) as other:
        report = await measure(every, runs, [CURRENT, other])
    return replace(report, settings={**report.settings, "baseline": baseline})


async def measure(every: Sequence[Step], runs: int, builds: Sequence[Build]) -> Report:
    """Every step in every build, one build beside the other, `runs` times."""
    facts = every[0].reading.facts
    settings = {"facts": facts, "labels_a_day": len(LABELS), "runs": runs, "durable": "fsync, synchronous_commit"}
    async with running_stack() as stack:
        rows = await measure_on(stack, every, runs, builds)
    return Report("Ledger", rows, machine() | settings)


async def measure_on(stack: Stack, every: Sequence[Step], runs: int, builds: Sequence[Build]) -> list[Row]:
    """One row for each scenario and build."""
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    copy = PlainCopy(stack.dsn(COPIES), list(LABELS), every[0].reading.facts)
    await stack.create_database(COPIES)
    await copy.prepare()
    for build in builds:
        await stack.create_database(f"empty_{build.name}")
        await stack.migrate(build, f"empty_{build.name}")
    for step in every:
        await stack.broker.empty(COSTS)
        await stack.broker.fill(COSTS, step.reading.records())
        for run in range(runs):
            for build in builds:
                async for name, row in _measured(stack, copy, step, build, run):
                    progress(f"{name}, run {run + 1}, {build.name}: {row['ratio_to_e']} e")
                    found[name, build.name].append(row)
    rows = {key: median_row(rows) for key, rows in found.items()}
    speeds = {name: row["facts_per_s"] for (name, build), row in rows.items() if build != CURRENT.name}
    return [row | _compared(row, speeds.get(name)) for (name, _), row in rows.items()]


def _compared(row: Row, baseline: Any) -> dict[str, object]:  # noqa: ANN401 - of a row
    """How many times as fast as the baseline, where there is one."""
    return {"ratio_to_baseline": rounded(cast("float", row["facts_per_s"]) / baseline)} if baseline else {}


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
        _row(step.name, build, step.reading, drained, plain)
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
            _row(REPLAYED, build, step.reading, drained, plain)
            | {
                "days_mb_per_million": None,
                "rows_touched": f"{written} written, {'none' if after.versions == before.versions else 'some'} locked",
            },
        )


def _row(name: str, build: Build, reading: Reading, drained: Drained, plain: float) -> dict[str, object]:
    facts_per_second = reading.facts / drained.seconds
    return {
        "scenario": name,
        "build": build.name,
        "ratio_to_e": rounded(facts_per_second / plain),
        "facts_per_s": rounded(facts_per_second),
        "e_facts_per_s": rounded(plain),
        "ledger_cpu_us_per_message": rounded(1e6 * drained.cpu_seconds / reading.messages),
        "ledger_peak_mb": rounded(drained.peak_mb),
    }
