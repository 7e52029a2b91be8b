"""One run of one ledger process over a topic that is full before it starts."""

import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path

from contract.topics import COSTS, SYNC_OUTCOMES
from grafient.local.processes import spawn, stop, tail

from benchmarks.support import cpu
from benchmarks.support.facts import Reading
from benchmarks.support.profiling import profiled
from benchmarks.support.report import RefusedRunError
from benchmarks.support.stack import Build, Stack

LAUNCHER = Path(__file__).with_name("first_poll.py")
LOOK_EVERY = 0.05
"""Seconds: the resolution of the clock. A look takes 1.3 ms of CPU, of client and broker together."""
DEADLINE = 540.0


@dataclass(frozen=True, slots=True)
class Drained:
    """From the first poll until the last outcome was acknowledged, or the last offset committed where there is none."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    """Most memory that the process ever held."""


async def drain(stack: Stack, build: Build, database: str, reading: Reading) -> Drained:
    """Let a ledger of `build` handle the whole topic, which holds `reading`, and end it."""
    await stack.broker.rewind("ledger", COSTS)
    await stack.execute(database, "CHECKPOINT")
    published = await stack.broker.end(SYNC_OUTCOMES)
    started, log = stack.folder / "first_poll.json", stack.folder / "logs" / "ledger.log"
    started.unlink(missing_ok=True)
    argv = (build.python, "-P", str(LAUNCHER), str(started), COSTS.name, "ledger")
    process = await spawn(argv, log, env=stack.ledger_environment(database))
    try:
        async with asyncio.timeout(DEADLINE):
            while process.returncode is None and not started.exists():
                await asyncio.sleep(LOOK_EVERY)
            async with profiled({"ledger": process.pid}):
                while process.returncode is None and await _works(stack, published + reading.outcomes, reading):
                    await asyncio.sleep(LOOK_EVERY)
            ended, used = time.time(), cpu.cpu_seconds({"ledger": process.pid})["ledger"]
            while process.returncode is None and await stack.broker.left("ledger", COSTS):
                await asyncio.sleep(LOOK_EVERY)
        if process.returncode is not None:
            raise RefusedRunError(f"the ledger ended with status {process.returncode}:\n{tail(log)}")
        peak = cpu.memory_mb(process.pid, "VmHWM")
    finally:
        await stop(process)
    began, used_before = json.loads(started.read_text())
    return Drained(ended - began, used - used_before, peak)


async def _works(stack: Stack, outcomes: int, reading: Reading) -> bool:
    if reading.proofs:
        return await stack.broker.end(SYNC_OUTCOMES) < outcomes
    return await stack.broker.left("ledger", COSTS) > 0
