import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from grafient.local import processes
from grafient.local.processes import free_ports, spawn, stop, tail

from tests.support.processes import runs
from tests.support.waiting import until

SLEEPS = (sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); time.sleep(600)",
)
PARENT = """
import asyncio, pathlib, sys
from grafient.local.processes import spawn

async def main():
    child = await spawn((sys.executable, "-c", "import time; time.sleep(600)"), pathlib.Path(sys.argv[1]))
    print(child.pid, flush=True)
    await child.wait()

asyncio.run(main())
"""


def test_free_ports_are_distinct_and_not_those_of_outgoing_connections() -> None:
    ports = free_ports(20)

    assert len(set(ports)) == 20
    assert max(ports) < int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


async def test_a_port_in_use_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", port)
    monkeypatch.setattr(processes, "_PORTS", [port] * 100)
    async with server:
        with pytest.raises(OSError, match="no port"):
            free_ports(1)


async def test_a_child_dies_with_its_killed_parent(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path / "child.log"), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert runs(child)

    parent.kill()
    await parent.communicate()

    await until(lambda: not runs(child))


async def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_DEADLINE", 0.1)
    log = tmp_path / "stubborn.log"
    stubborn = await spawn(STUBBORN, log)
    await until(lambda: tail(log) == "here")

    await stop(stubborn)

    assert stubborn.returncode == -signal.SIGKILL


async def test_a_child_does_not_receive_the_terminals_ctrl_c(tmp_path: Path) -> None:
    child = await spawn(SLEEPS, tmp_path / "child.log")
    try:
        assert os.getsid(child.pid) != os.getsid(0)
    finally:
        await stop(child)
    assert child.returncode == -signal.SIGTERM
