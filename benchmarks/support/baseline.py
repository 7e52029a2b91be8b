"""Another commit of this repository, installed by its own Makefile in a temporary folder, to be measured beside this one."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from common.errors import UserError

from benchmarks.support.report import ROOT, progress
from benchmarks.support.stack import Build


@asynccontextmanager
async def installed(commit: str) -> AsyncIterator[Build]:
    """The build of `commit`, removed at the end. Raises UserError where git or make fails."""
    folder = Path(tempfile.mkdtemp(prefix="baseline-"))
    source = folder / "source"
    try:
        await _run("git", "-C", str(ROOT), "worktree", "add", "--quiet", "--detach", str(source), commit)
        progress(f"installing {commit}")
        await _run("make", "-C", str(source), ".venv/.installed")
        yield Build("baseline", str(source / ".venv/bin/python"))
    finally:
        if source.exists():
            await _run("git", "-C", str(ROOT), "worktree", "remove", "--force", str(source))
        shutil.rmtree(folder, ignore_errors=True)


async def _run(*command: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, env=inherited, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        last = (output.decode(errors="replace").strip().splitlines() or ["it printed nothing"])[-1]
        raise UserError(
            f"`{' '.join(command)}` failed: {last}", "name a commit of this repository, and try with a network"
        )
