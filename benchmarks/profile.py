"""What one service does while a benchmark runs, as a flame graph."""

import asyncio
from collections.abc import Callable, Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from common.errors import UserError

from benchmarks import fleet, latency, ledger, onboarding, reads
from benchmarks.support.profiling import REQUESTED, Request
from benchmarks.support.report import progress
from benchmarks.support.stack import CURRENT

EXAMPLE = "make bench ARGS='profile fleet syncer --size 2000 --output syncer.svg'"


class Benchmark(StrEnum):
    """What a profile can be taken of; its `size` is that of the benchmark's first option."""

    LEDGER = "ledger"
    FLEET = "fleet"
    ONBOARDING = "onboarding"
    LATENCY = "latency"
    READS = "reads"


MEASURE: dict[Benchmark, Callable[[int], Coroutine[Any, Any, object]]] = {
    Benchmark.LEDGER: lambda size: ledger.measure(ledger.steps(size)[:1], 1, [CURRENT]),
    Benchmark.FLEET: lambda size: fleet.measure(size, fleet.scenarios([16], defaults=False), 1),
    Benchmark.ONBOARDING: lambda size: onboarding.measure(size, 16, 1),
    Benchmark.LATENCY: lambda size: latency.measure(size, 1),
    Benchmark.READS: lambda size: reads.measure(size, (100, 20), 50, 10, 1),
}


def profile(
    *,
    benchmark: Annotated[Benchmark, typer.Argument(help="What to run.")],
    service: Annotated[str, typer.Argument(help="What to look at: ledger, syncer, connector or xai.")],
    size: Annotated[int, typer.Option(min=1, help="Facts, teams, adds, syncs or facts, as the benchmark has them.")],
    output: Annotated[Path, typer.Option(help="A new file: .svg is a flame graph, .json is for speedscope.")],
) -> None:
    """Write where a service spends its time during a benchmark; sampling makes it slower, so its figures are not printed."""
    if output.exists():
        raise UserError(f"{output} exists", "choose another file")
    REQUESTED.set(Request(service, output))
    asyncio.run(MEASURE[benchmark](size))
    progress(f"{output} is written")
