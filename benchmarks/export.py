"""A million rows as FOCUS CSV out of one ledger, beside one COPY of the same rows out of the same Postgres."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import psycopg
import typer
from grafient.cli.output import Json
from grafient.cli.tables import Row
from grafient.local.processes import free_ports, spawn, stop

from benchmarks.reads import OK, Reader
from benchmarks.support.cpu import memory_mb
from benchmarks.support.facts import LAST_DAY
from benchmarks.support.light_http import LightConnection
from benchmarks.support.report import Markdown, RefusedRunError, Report, Runs, machine, median_row, progress, rounded
from benchmarks.support.stack import CURRENT, Stack, running_stack
from benchmarks.support.stored_costs import FIRST_DAY, READING, Accounts, store

EXAMPLE = "make bench ARGS='export --rows 100000'"
DATABASE = "export"
ACCOUNT = "large-0"
PATH = f"/v1/accounts/{ACCOUNT}/export?format=focus&from={FIRST_DAY}&to={LAST_DAY}"
SCREEN, TEAMS = "screen-0", 200
DASHBOARD = tuple(
    f"/v1/accounts/{SCREEN}/{report}from={FIRST_DAY}&to={LAST_DAY}"
    for report in ("summary?", "breakdown?by=model&", "costs?by=model&", "coverage?")
)
"""What a screen of 90 days asks the ledger for."""
ROWS = """
    CREATE TABLE public.rows AS
    SELECT account_id, integration_id, day, label, product, model, usd, observed_at
    FROM ledger.daily_costs WHERE account_id = %s ORDER BY day, integration_id
"""
PLAIN = "COPY public.rows TO STDOUT WITH (FORMAT csv)"


def export(
    *,
    rows: Annotated[int, typer.Option(min=1, help="Of the account that is exported.")] = 1_000_000,
    runs: Runs = 3,
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """An export as FOCUS CSV beside a COPY of the rows, and the reports of a large screen: peak memory, `/livez`."""
    report = asyncio.run(measure(rows, runs))
    report.show(as_json=as_json, markdown=markdown)


async def measure(rows: int, runs: int) -> Report:
    """`rows` is rounded up to whole integrations."""
    integrations = -(-rows // READING.facts)
    async with running_stack() as stack:
        found = await measure_on(stack, integrations, TEAMS, runs)
    settings = {"rows": integrations * READING.facts, "integrations": integrations, "runs": runs}
    return Report("Exporting costs", found, machine() | settings)


async def measure_on(stack: Stack, integrations: int, teams: int, runs: int) -> list[Row]:
    """Of the account that is exported, and of the one whose reports are read."""
    await store(stack, CURRENT, DATABASE, [Accounts("large", 1, integrations), Accounts("screen", 1, teams)])
    async with await psycopg.AsyncConnection.connect(stack.dsn(DATABASE), autocommit=True) as connection:
        await connection.execute(ROWS, [ACCOUNT])
    found = [await _run(stack, integrations * READING.facts) for _ in range(runs)]
    return [median_row(rows) for rows in zip(*found, strict=True)]


async def _run(stack: Stack, rows: int) -> list[Row]:
    plain = await _plain(stack.dsn(DATABASE), rows)
    export, dashboard = await _watched(stack, [PATH]), await _watched(stack, DASHBOARD)
    if export.lines != rows + 1:
        raise RefusedRunError(f"{export.lines - 1} of {rows} rows were exported")
    progress(f"{rows} rows in {export.seconds:.1f} s, a COPY in {plain:.2f} s")
    compared: dict[str, object] = {
        "rows_per_second": rounded(rows / export.seconds),
        "copy_seconds": rounded(plain),
        "ratio_to_copy": rounded(plain / export.seconds),
    }
    return [
        export.row("FOCUS 1.4") | compared,
        dashboard.row("a dashboard of many integrations") | dict.fromkeys(compared),
    ]


@dataclass(frozen=True, slots=True)
class _Watched:
    """Requests, one after the other, at a ledger that is new."""

    seconds: float
    lines: int
    """Of the last answer."""
    memory_before: float
    """MB, and so is the peak."""
    peak: float
    livez_ms: float
    """The longest `/livez` meanwhile."""

    def row(self, scenario: str) -> dict[str, object]:
        return {
            "scenario": scenario,
            "seconds": rounded(self.seconds),
            "memory_before_mb": rounded(self.memory_before),
            "peak_mb": rounded(self.peak),
            "livez_max_ms": rounded(self.livez_ms),
        }


async def _watched(stack: Stack, paths: Sequence[str]) -> _Watched:
    async with _ledger(stack) as (url, pid):
        reader = await Reader.ready(url, stack.token, pid)
        before = memory_mb(pid)
        began = time.perf_counter()
        async with reader.watched() as late:
            for path in paths:
                lines = await _asked(url, stack.token, path)
        seconds = time.perf_counter() - began
        await reader.close()
        return _Watched(seconds, lines, before, memory_mb(pid, "VmHWM"), max(late))


@asynccontextmanager
async def _ledger(stack: Stack) -> AsyncIterator[tuple[str, int]]:
    """A new process: its peak is of this export."""
    port = free_ports(1)[0]
    log = stack.folder / "logs" / "ledger.log"
    process = await spawn((CURRENT.python, "-m", "ledger"), log, env=stack.ledger_environment(DATABASE, port))
    try:
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        await stop(process)


async def _asked(url: str, token: str, path: str) -> int:
    """Lines of the answer."""
    connection = await LightConnection.to(url, token)
    status, body = await connection.request("GET", path)
    await connection.close()
    if status != OK:
        raise RefusedRunError(f"{path} was answered with {status}")
    return body.count(b"\n")


async def _plain(dsn: str, rows: int) -> float:
    """Seconds in which this process gets the rows themselves."""
    began, lines = time.perf_counter(), 0
    async with (
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection,
        connection.cursor().copy(PLAIN) as copy,
    ):
        async for block in copy:
            lines += bytes(block).count(b"\n")
    if lines != rows:
        raise RefusedRunError(f"the COPY has {lines} rows")
    return time.perf_counter() - began
