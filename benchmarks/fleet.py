"""The daily run of a whole fleet: one request for all, xAI answers in 300 ms, every process on this machine.

The clock runs from the request to the last SyncCompleted. The ideal is as many calls at a time as the syncer may make,
without a pause between them.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

import typer
from annotated_types import Le
from common.errors import UserError
from contract.fields import Trigger
from contract.messages import SyncCompleted, SyncRequested
from contract.topics import ALL, SYNC_OUTCOMES, SYNC_REQUESTS
from grafient.cli.output import Json
from grafient.cli.tables import Row
from syncer.settings import SyncerSettings

from benchmarks.support.cpu import milliseconds_by_process, used
from benchmarks.support.facts import Record, record_of
from benchmarks.support.profiling import profiled
from benchmarks.support.report import Markdown, Report, Runs, machine, median_row, progress, rounded
from benchmarks.support.system import FAST_CALLS, Running, running_system
from benchmarks.support.teams import connect_teams

EXAMPLE = "make bench ARGS='fleet --teams 10000 --in-flight 64 --defaults --runs 1'"
ANSWER_MS = 300
LOOK_EVERY = 0.05
"""Seconds: the resolution of the clock."""
DEADLINE = 1800.0
BENCHMARK = "benchmark"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Settings of the syncer, and how many calls they allow at a time."""

    name: str
    in_flight: int
    settings: Mapping[str, str]


def fleet(
    *,
    teams: Annotated[int, typer.Option(min=1, help="Integrations, one a team.")] = 2000,
    in_flight: Annotated[list[int] | None, typer.Option(help="Calls of xAI at a time; may be repeated.")] = None,
    defaults: Annotated[bool, typer.Option("--defaults", help="Also without any setting.")] = False,
    runs: Runs = 3,
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Windows a second of a daily run as a ratio to the ideal, and the CPU time that each process takes for one."""
    report = asyncio.run(measure(teams, scenarios(in_flight or [16, 64], defaults=defaults), runs))
    report.show(as_json=as_json, markdown=markdown)


def scenarios(in_flight: Sequence[int], *, defaults: bool) -> list[Scenario]:
    """Raises UserError where the syncer would refuse a number of calls."""
    field = SyncerSettings.model_fields["calls_in_flight"]
    limit = next(int(str(one.le)) for one in field.metadata if isinstance(one, Le))
    if any(count > limit for count in in_flight):
        raise UserError(f"a syncer has at most {limit} calls in flight", f"choose by --in-flight {limit}")
    found = [
        Scenario(f"{count} in flight", count, FAST_CALLS | {"SYNCER_CALLS_IN_FLIGHT": str(count)})
        for count in in_flight
    ]
    default: int = field.default
    return [*found, Scenario("default settings", default, {})] if defaults else found


async def measure(teams: int, every: Sequence[Scenario], runs: int) -> Report:
    """Every scenario in turn, `runs` times, on one fleet."""
    settings = machine() | {"teams": teams, "runs": runs, "xai_ms": ANSWER_MS, "days_a_window": 8}
    found: dict[str, list[Row]] = defaultdict(list)
    async with running_system() as running:
        await running.restart("syncer", every[0].settings)
        progress(f"connecting {teams} teams")
        ids = set(await connect_teams(running, teams))
        await running.answer_in(ANSWER_MS)
        for run in range(runs):
            for scenario in every:
                await running.restart("syncer", scenario.settings)
                async with profiled(running.pids()):
                    row = await daily_run(running, scenario, ids)
                progress(
                    f"{scenario.name}, run {run + 1}: {row['windows_per_s']}/s, {row['ratio_to_ideal']} of the ideal"
                )
                found[scenario.name].append(row)
    set_ = {one.name: " ".join(f"{name}={value}" for name, value in one.settings.items()) for one in every}
    return Report("Daily run", [median_row(rows) for rows in found.values()], settings | set_)


async def daily_run(running: Running, scenario: Scenario, ids: set[UUID]) -> Row:
    """One request for all, and what it took until each of `ids` was in the ledger."""
    request_id = f"{BENCHMARK}-{uuid4()}"
    before, places = running.cpu(), await running.broker.ends(SYNC_OUTCOMES)
    began = time.perf_counter()
    await running.broker.fill(SYNC_REQUESTS, [_request(request_id)])
    seconds, missed, target = DEADLINE, ids, sum(places.values()) + len(ids)
    while missed and time.perf_counter() - began < DEADLINE:
        if (end := await running.broker.end(SYNC_OUTCOMES)) < target:
            await asyncio.sleep(LOOK_EVERY)
            continue
        seconds, target = time.perf_counter() - began, end + 1
        missed = ids - await _completed(running, places, request_id)
    await running.settled()  # what is done with an outcome is a part of the window's work
    cpu = used(before, running.cpu())
    windows_per_second = len(ids) / seconds
    return {
        "scenario": scenario.name,
        "windows_per_s": rounded(windows_per_second),
        "ratio_to_ideal": rounded(windows_per_second / (1000 * scenario.in_flight / ANSWER_MS)),
        "seconds": rounded(seconds),
        "missed": len(missed),
        **milliseconds_by_process(cpu, len(ids), "a_window"),
    }


def _request(request_id: str) -> Record:
    now = datetime.now(UTC)
    message = SyncRequested(request_id=request_id, trigger=Trigger.DAILY, requested_at=now)
    return record_of(message, ALL, request_id, BENCHMARK, now)


async def _completed(running: Running, places: Mapping[int, int], request_id: str) -> set[UUID]:
    """Integrations whose window of this request is in the ledger, every day of it."""
    found: set[UUID] = set()
    async for record in running.broker.records(SYNC_OUTCOMES, places):
        if dict(record.headers)["ce_type"] == b"SyncCompleted":
            outcome = SyncCompleted.model_validate_json(record.value)
            if request_id in outcome.request_ids and outcome.reconciled:
                found.add(outcome.integration_id)
    return found
