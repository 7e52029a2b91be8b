"""Disks fill up, and memory runs out. When there is room again, nothing is missing."""

import asyncio
import errno
import os
import resource
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.support.fault import Fault
from tests.faults.support.load import Load, system_under_load
from tests.support.system import SystemClient

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
                pytest.skip("without the right to mount a disk the machine's own would have to be filled")
            mounted.append(folder / name)
        yield
    finally:
        for disk in mounted:
            await asyncio.to_thread(subprocess.run, ["umount", "--lazy", str(disk)], check=True)


@pytest.fixture(scope="module")
async def load(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Load]:
    """Three teams on small disks."""
    folder = tmp_path_factory.mktemp("disks")
    async with small_disks(folder), system_under_load(folder, teams=3) as load:
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
async def test_nothing_is_lost_when_the_disk_is_full_of(client: SystemClient, fault: Fault, name: str) -> None:
    fill = client.system.logs.parent / name / "fill"

    async with fault(f"the disk of {name} is full"):
        await asyncio.to_thread(_fill, fill)
        await asyncio.sleep(LASTS)  # the fault is an interval
        fill.unlink()
        fill.with_name("one-more").unlink(missing_ok=True)
        await client.broker_answers()
        await client.reconnect()


@pytest.mark.parametrize("name", ["connector", "syncer", "ledger"])
async def test_nothing_is_lost_when_memory_runs_out_for(client: SystemClient, fault: Fault, name: str) -> None:
    pid = client.pid(name)
    (used,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmSize"))
    former = resource.prlimit(pid, resource.RLIMIT_AS)

    async with fault(f"the {name}'s memory runs out"):
        resource.prlimit(pid, resource.RLIMIT_AS, (int(used.split()[1]) * 1024 + MIB, former[1]))
        await asyncio.sleep(LASTS)  # the fault is an interval
        with suppress(ProcessLookupError):  # it has ended, and been replaced
            resource.prlimit(pid, resource.RLIMIT_AS, former)
