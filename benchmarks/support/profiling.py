"""Samples one service while a benchmark measures, where that was requested: py-spy looks at the process from outside."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError

SAMPLES_PER_SECOND = "200"
SPEEDSCOPE = ".json"
"""A file of another suffix gets a flame graph as SVG."""


@dataclass(frozen=True, slots=True)
class Request:
    """Of which service, and where the profile is written."""

    service: str
    output: Path


REQUESTED: ContextVar[Request | None] = ContextVar("requested", default=None)


@asynccontextmanager
async def profiled(pids: Mapping[str, int]) -> AsyncIterator[None]:
    """The first block that is entered while a profile is requested is sampled. Raises UserError where that fails."""
    request = REQUESTED.get()
    if request is None or request.output.exists():
        yield
        return
    if request.service not in pids:
        raise UserError(f"{request.service} does not run here", f"choose one of {', '.join(sorted(pids))}")
    form = "speedscope" if request.output.suffix == SPEEDSCOPE else "flamegraph"
    argv = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pids[request.service])]
    argv += ["--output", str(request.output), "--format", form, "--rate", SAMPLES_PER_SECOND, "--nonblocking"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    try:
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        output, _ = await process.communicate()
    if not request.output.exists():
        lines = output.decode(errors="replace").strip().splitlines() or ["py-spy wrote nothing"]
        raise UserError(lines[-1], "services forbid others to look into them: only root may profile one")
