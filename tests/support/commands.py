"""The operators' command line: in a process of its own, or, faster, in this one."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grafient.main import app
from typer.testing import CliRunner

from tests.support.logging_state import logging_as_it_was

Environment = Mapping[str, str | None]
"""Variables beside those of this process; None: not set."""
NOTHING: Environment = {}
PIPE = asyncio.subprocess.PIPE


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that has ended."""

    stdout: str
    stderr: str
    status: int

    def json(self, *, status: int = 0) -> Any:
        """Its output, after a check of its exit status."""
        assert self.status == status, self.stdout + self.stderr
        return json.loads(self.stdout)


async def start(*arguments: str, env: Environment = NOTHING, module: str = "grafient") -> asyncio.subprocess.Process:
    """Start a command in a process of its own, which the caller ends."""
    argv = (sys.executable, "-m", module, *arguments)
    variables = {name: value for name, value in {**os.environ, **env}.items() if value is not None}
    return await asyncio.create_subprocess_exec(*argv, env=variables, stdout=PIPE, stderr=PIPE)


async def grafient(*arguments: str, env: Environment = NOTHING) -> Completed:
    """Run a command as operators do, in a process of its own."""
    process = await start(*arguments, env=env)
    stdout, stderr = await process.communicate()
    return Completed(stdout.decode(), stderr.decode(), process.returncode or 0)


async def in_process(*arguments: str, env: Environment = NOTHING) -> Completed:
    """Run a command in this process, which spares the start of Python."""
    return await asyncio.to_thread(invoke, *arguments, env=env)


def invoke(*arguments: str, env: Environment = NOTHING) -> Completed:
    """Run a command in this process, outside of an event loop; one that hardens its process hardens this one."""
    with logging_as_it_was():
        result = CliRunner().invoke(app, arguments, env=env, catch_exceptions=False)
    return Completed(result.stdout, result.stderr, result.exit_code)
