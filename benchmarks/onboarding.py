"""Teams that connect by HTTP, 16 at a time, while xAI answers in 300 ms and the syncer reads what was added before.

The ideal is as many adds at a time without a pause between them: each waits for one answer of xAI. The last ones
end one by one, with fewer at a time: that is a sixtieth of the time of 480 adds, and little of that of 1920.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Annotated
from uuid import uuid4

import typer
from contract.topics import SYNC_OUTCOMES
from grafient.cli.output import Json
from grafient.cli.tables import Row

from benchmarks.support.cpu import milliseconds_by_process, used
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
from benchmarks.support.system import Running, running_system

EXAMPLE = "make bench ARGS='onboarding --adds 1920'"
ANSWER_MS = 300
CREATED = 201


def onboarding(
    *,
    adds: Annotated[int, typer.Option(min=1, help="Teams, each of an account of its own.")] = 1920,
    at_once: Annotated[int, typer.Option(min=1, help="Requests at the same time.")] = 16,
    runs: Runs = 3,
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Adds a second as a ratio to the ideal, and the CPU time that each process takes for one."""
    asyncio.run(measure(adds, at_once, runs)).show(as_json=as_json, markdown=markdown)


async def measure(adds: int, at_once: int, runs: int) -> Report:
    settings = machine() | {"adds": adds, "at_once": at_once, "runs": runs, "xai_ms": ANSWER_MS, "plan": "free"}
    async with running_system(delay_ms=ANSWER_MS) as running:
        await running.broker.warm()
        await add(running, at_once, at_once)  # warm
        async with profiled(running.pids()):
            rows = [await add(running, adds, at_once) for _ in range(runs)]
    return Report("Adding teams", [median_row(rows)], settings)


async def add(running: Running, adds: int, at_once: int) -> Row:
    """Add so many teams; returns when the backfill of all of them is in the ledger, which is not measured."""
    expected = await running.broker.end(SYNC_OUTCOMES) + adds
    connections = [
        await LightConnection.to(running.address.connector_url, running.address.token) for _ in range(at_once)
    ]
    before, began, numbers = running.cpu(), time.perf_counter(), iter(range(adds))
    took = [one for some in await asyncio.gather(*(_in_turn(each, numbers) for each in connections)) for one in some]
    seconds = time.perf_counter() - began
    cpu = used(before, running.cpu())
    per_second = adds / seconds
    progress(f"{adds} adds: {per_second:.1f}/s")
    for connection in connections:
        await connection.close()
    while await running.broker.end(SYNC_OUTCOMES) < expected:
        await asyncio.sleep(0.2)
    await running.settled()
    return {
        "adds_per_s": rounded(per_second),
        "ratio_to_ideal": rounded(per_second / (1000 * at_once / ANSWER_MS)),
        "p50_ms": rounded(percentile(took, 0.5)),
        "p99_ms": rounded(percentile(took, 0.99)),
        **milliseconds_by_process(cpu, adds, "an_add"),
    }


async def _in_turn(connection: LightConnection, numbers: Iterator[int]) -> list[float]:
    """Add until there are no numbers left; milliseconds of each."""
    took = []
    for _ in numbers:
        team, account = str(uuid4()), uuid4().hex
        body = json.dumps({"team_id": team, "management_key": "obviously-fake-key", "plan": "free"}).encode()
        began = time.perf_counter()
        status, answer = await connection.request("POST", f"/v1/accounts/{account}/integrations", body)
        took.append(1000 * (time.perf_counter() - began))
        if status != CREATED:
            raise RefusedRunError(f"a team was not added: {status} {answer.decode()}")
    return took
