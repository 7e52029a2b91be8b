"""What the tests of the embedded stack see of other processes."""

import asyncio
from collections.abc import Callable
from pathlib import Path

DEADLINE = 30.0


async def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds; TimeoutError after half a minute."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether the process is alive: of an orphan that has ended, something may still wait to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
