"""An account's costs of 90 days with 20 models, read by HTTP from a ledger with millions of facts.

Requests come at their time whether the ones before have been answered or not, and latency counts from that time.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle, islice
from typing import Annotated

import psycopg
import typer
from grafient.cli.output import Json
from grafient.cli.tables import Row
from grafient.local.processes import free_ports, spawn, stop

from benchmarks.support.cpu import memory_mb
from benchmarks.support.facts import LAST_DAY
from benchmarks.support.light_http import LightConnection
from benchmarks.support.profiling import profiled
from benchmarks.support.report import (
    Markdown,
    RefusedRunError,
    Report,
    Runs,
    machine,
    median_row,
    percentile,
    progress,
    rounded,
)
from benchmarks.support.stack import CURRENT, Stack, running_stack
from benchmarks.support.stored_costs import FIRST_DAY, READING, Accounts, store

EXAMPLE = "make bench ARGS='reads --seconds 30'"
DATABASE = "reads"
PATH = f"/v1/accounts/{{}}/costs?from={FIRST_DAY}&to={LAST_DAY}"
SELECT = "SELECT * FROM ledger.days WHERE account_id = %s AND day BETWEEN %s AND %s"
SMALL, LARGE, OTHERS = "small", "large", "other"
CONNECTIONS = 16
LIVENESS_EVERY = 0.02
"""Seconds between two requests of `/livez`: how late they are shows how long the event loop is blocked."""
LARGE_READS = 10
OK = 200


def reads(
    *,
    facts: Annotated[int, typer.Option(min=1, help="In the ledger, of all accounts.")] = 10_000_000,
    accounts: Annotated[int, typer.Option(min=1, help="That are read in turn, of one integration each.")] = 1000,
    integrations: Annotated[int, typer.Option(min=1, help="Of the account that is read after them.")] = 200,
    rate: Annotated[int, typer.Option(min=1, help="Requests a second.")] = 100,
    seconds: Annotated[int, typer.Option(min=1, help="Length of a run.")] = 30,
    runs: Runs = 3,
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Latency of GET .../costs, as a ratio to a plain SELECT of the same rows, and of the event loop meanwhile."""
    report = asyncio.run(measure(facts, [accounts, integrations], rate, seconds, runs))
    report.show(as_json=as_json, markdown=markdown)


async def measure(facts: int, sizes: Sequence[int], rate: int, seconds: int, runs: int) -> Report:
    """`sizes`: how many small accounts there are, and how many integrations the large one has."""
    settings = {"facts": facts, "integrations": sizes[1], "rate": rate, "seconds": seconds, "runs": runs}
    async with running_stack() as stack:
        rows = await measure_on(stack, facts, sizes, rate, seconds, runs)
    return Report("Reading costs", rows, machine() | settings)


async def measure_on(stack: Stack, facts: int, sizes: Sequence[int], rate: int, seconds: int, runs: int) -> list[Row]:
    """Small accounts in turn, then the large one."""
    accounts, integrations = sizes
    others = max(0, facts // READING.facts - accounts - integrations)
    every = [Accounts(SMALL, accounts), Accounts(LARGE, 1, integrations), Accounts(OTHERS, others)]
    await store(stack, CURRENT, DATABASE, every)
    small = [f"{SMALL}-{number}" for number in range(accounts)]
    found = [await _run(stack, small, rate, seconds) for _ in range(runs)]
    return [median_row(rows) for rows in zip(*found, strict=True)]


async def _run(stack: Stack, small: list[str], rate: int, seconds: int) -> list[Row]:
    """A new ledger: how much its memory grows is measured, too."""
    port = free_ports(1)[0]
    process = await spawn(
        (CURRENT.python, "-m", "ledger"),
        stack.folder / "logs" / "ledger.log",
        env=stack.ledger_environment(DATABASE, port),
    )
    try:
        reader = await Reader.ready(f"http://127.0.0.1:{port}", stack.token, process.pid)
        await reader.in_turn(small[:rate], every=1 / rate)  # warm
        plain = await _plain(stack.dsn(DATABASE), small[:rate])
        paths = list(islice(cycle(small), rate * seconds))
        async with profiled({"ledger": process.pid}):
            rows = [await reader.row(f"{len(small)} accounts in turn, {rate}/s", paths, plain, every=1 / rate)]
        large = [f"{LARGE}-0"]
        plain = await _plain(stack.dsn(DATABASE), large)
        rows.append(await reader.row("an account of many integrations", large * LARGE_READS, plain, every=None))
        await reader.close()
        return rows
    finally:
        await stop(process)


async def _plain(dsn: str, accounts: Sequence[str]) -> float:
    """Median milliseconds in which this process gets the rows themselves."""
    took = []
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        for account in accounts:
            began = time.perf_counter()
            await (await connection.execute(SELECT, [account, FIRST_DAY, LAST_DAY])).fetchall()
            took.append(1000 * (time.perf_counter() - began))
    return percentile(took, 0.5)


class Reader:
    """Asks one ledger, on a few connections, and its `/livez` on another."""

    def __init__(self, connections: Sequence[LightConnection], liveness: LightConnection, pid: int) -> None:
        self._every = connections
        self._liveness = liveness
        self._pid = pid
        self._late: list[float] = []
        self._free: asyncio.LifoQueue[LightConnection] = asyncio.LifoQueue()
        for connection in connections:
            self._free.put_nowait(connection)

    @classmethod
    async def ready(cls, url: str, token: str, pid: int) -> "Reader":
        """Once the ledger listens and is ready."""
        while True:
            try:
                liveness = await LightConnection.to(url, token)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                break
        while (await liveness.request("GET", "/readyz"))[0] != OK:
            await asyncio.sleep(0.05)
        return cls([await LightConnection.to(url, token) for _ in range(CONNECTIONS)], liveness, pid)

    async def row(self, name: str, accounts: Sequence[str], plain: float, *, every: float | None) -> Row:
        before = memory_mb(self._pid)
        async with self.watched() as late:
            took = await self.in_turn(accounts, every=every)
        progress(f"{name}: p99 {percentile(took, 0.99):.1f} ms")
        return {
            "scenario": name,
            "p50_ms": rounded(percentile(took, 0.5)),
            "p99_ms": rounded(percentile(took, 0.99)),
            "ratio_to_select": rounded(percentile(took, 0.5) / plain),
            "select_ms": rounded(plain),
            "livez_p99_ms": rounded(percentile(late, 0.99)),
            "livez_max_ms": rounded(max(late)),
            "memory_growth_mb": rounded(memory_mb(self._pid) - before),
        }

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Sequence[float]]:
        """How long each request of `/livez` takes meanwhile, in milliseconds."""
        self._late = []
        watching = asyncio.create_task(self._watch())
        try:
            yield self._late
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def in_turn(self, accounts: Sequence[str], *, every: float | None) -> list[float]:
        """Milliseconds of each request; `every` None: one begins when the one before has ended."""
        if every is None:
            return [await self._read(account, time.perf_counter()) for account in accounts]
        began = time.perf_counter()
        return await asyncio.gather(
            *(self._read(account, began + number * every) for number, account in enumerate(accounts))
        )

    async def close(self) -> None:
        for connection in (*self._every, self._liveness):
            await connection.close()

    async def _read(self, account: str, at: float) -> float:
        await asyncio.sleep(at - time.perf_counter())
        connection = await self._free.get()
        status, body = await connection.request("GET", PATH.format(account))
        self._free.put_nowait(connection)
        if status != OK or body.count(b'"covered":true') != READING.windows * READING.days:
            raise RefusedRunError(f"costs of {account} were not answered as stored: {status} {body[:200].decode()}")
        return 1000 * (time.perf_counter() - at)

    async def _watch(self) -> None:
        """Note how long `/livez` takes, again and again until cancelled."""
        while True:
            began = time.perf_counter()
            await self._liveness.request("GET", "/livez")
            self._late.append(1000 * (time.perf_counter() - began))
            await asyncio.sleep(LIVENESS_EVERY)
