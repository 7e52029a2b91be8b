"""Disks fill up, and memory ends. When there is room again, nothing is missing."""

import asyncio
import errno
import os
import resource
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.support.load import Load, Result, load_on

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
LASTS = 12.0
"""Seconds without room."""
SIZES = {"kafka": "200m", "postgres": "400m"}
MIB = 1024 * 1024


@asynccontextmanager
async def small_disks(folder: Path) -> AsyncIterator[None]:
    """Broker and database each have a disk of their own, of a few hundred megabytes."""
    mounted = []
    try:
        for name, size in SIZES.items():
            (folder / name).mkdir()
            options = ["-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(folder / name)]
            done = await asyncio.to_thread(subprocess.run, ["mount", *options], capture_output=True, check=False)
            if done.returncode:
                pytest.skip("only who may mount a disk can fill it up without filling the machine's own")
            mounted.append(folder / name)
        yield
    finally:
        for disk in mounted:
            await asyncio.to_thread(subprocess.run, ["umount", "--lazy", str(disk)], check=True)


@pytest.fixture(scope="module")
async def on_small_disks(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Load]:
    folder = tmp_path_factory.mktemp("disks")
    async with small_disks(folder), load_on(folder, teams=3) as load:
        yield load


def _fill(path: Path) -> None:
    """Take all the room that there is."""
    with path.open("wb", buffering=0) as file:
        for size in (MIB, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        path.with_name("one-more").write_bytes(b"\0")


@pytest.mark.parametrize("name", SIZES)
async def test_nothing_is_lost_when_the_disk_is_full_of(on_small_disks: Load, results: list[Result], name: str) -> None:
    load, world = on_small_disks, on_small_disks.world
    fill = world.system.logs.parent / name / "fill"

    async with load.running():
        await asyncio.to_thread(_fill, fill)
        await asyncio.sleep(LASTS)  # the fault is an interval
        fill.unlink()
        fill.with_name("one-more").unlink(missing_ok=True)
        await world.broker_answers()
        await world.reconnect()

    results.append(await load.heals(f"the disk of {name} is full"))


@pytest.mark.parametrize("name", ["connector", "syncer", "ledger"])
async def test_nothing_is_lost_when_memory_ends_for(load: Load, results: list[Result], name: str) -> None:
    pid = load.world.system.address().pids[name]
    (used,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmSize"))
    former = resource.prlimit(pid, resource.RLIMIT_AS)

    async with load.running():
        resource.prlimit(pid, resource.RLIMIT_AS, (int(used.split()[1]) * 1024 + MIB, former[1]))
        await asyncio.sleep(LASTS)  # the fault is an interval
        with suppress(ProcessLookupError):  # it ended itself, and another one is there
            resource.prlimit(pid, resource.RLIMIT_AS, former)

    results.append(await load.heals(f"the {name}'s memory ends"))
