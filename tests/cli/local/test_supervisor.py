import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grafient.local.errors import StartError
from grafient.local.processes import free_ports, spawn, stop
from grafient.local.supervisor import STRIKES, Service, Supervisor, keep_running

from tests.support.processes import runs
from tests.support.waiting import until

SERVED = """
import http.server, pathlib, signal, sys, time

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
wedged = pathlib.Path(sys.argv[2])
while wedged.with_name("slow").exists():
    time.sleep(0.02)
if not wedged.with_name("broken").exists():
    wedged.unlink(missing_ok=True)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if self.path == "/livez" and wedged.exists() else 200)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
SUPERVISES = """
import asyncio, pathlib, sys
from grafient.local.supervisor import Service, Supervisor, keep_running

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"

async def main():
    supervisor = Supervisor(pathlib.Path(sys.argv[1]))
    await supervisor.start([Service("stubborn", (sys.executable, "-c", STUBBORN), {})])
    print(supervisor.pids["stubborn"], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


class CountingSupervisor(Supervisor):
    """Counts its looks, and the answers that were good."""

    looks = 0
    good = 0

    async def _is_well(self, service: Service, path: str) -> bool:
        self.looks += 1
        well = await super()._is_well(service, path)
        self.good += well
        return well


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
async def supervisor(tmp_path: Path, reports: list[str]) -> AsyncIterator[CountingSupervisor]:
    """Looks twenty times a second."""
    supervisor = CountingSupervisor(tmp_path / "logs", reports.append, poll_seconds=0.05)
    yield supervisor
    await supervisor.stop()


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """Answers; makes no progress while the file `wedged` is there."""
    (port,) = free_ports(1)
    argv = (sys.executable, "-c", SERVED, str(port), str(tmp_path / "wedged"))
    return Service("served", argv, {}, f"http://127.0.0.1:{port}")


async def _killed(supervisor: Supervisor) -> int:
    """Kill the service; answers the process that replaces it."""
    first = supervisor.pids["served"]
    os.kill(first, signal.SIGKILL)
    return await until(lambda: supervisor.pids["served"], lambda pid: pid != first)


async def test_a_killed_service_is_started_again_and_none_is_left_behind(
    supervisor: Supervisor, service: Service, reports: list[str]
) -> None:
    await supervisor.start([service])
    first = supervisor.pids["served"]

    second = await _killed(supervisor)
    await supervisor.stop()

    assert reports == ["served is ready", "served ended and is started again"]
    assert not runs(first)
    assert not runs(second)


async def test_a_service_without_progress_is_killed_and_started_again(
    supervisor: Supervisor, service: Service, reports: list[str], tmp_path: Path
) -> None:
    await supervisor.start([service])
    first = supervisor.pids["served"]

    (tmp_path / "wedged").touch()
    await until(lambda: supervisor.pids["served"] != first)

    assert reports[1:3] == ["served makes no progress and is killed", "served ended and is started again"]


async def test_a_service_that_is_started_again_has_no_strikes_before_it_takes_connections(
    supervisor: CountingSupervisor, service: Service, tmp_path: Path
) -> None:
    await supervisor.start([service])
    (tmp_path / "slow").touch()

    second = await _killed(supervisor)
    looks = supervisor.looks
    await until(lambda: supervisor.looks > looks + 2 * STRIKES)

    assert runs(second)
    good = supervisor.good
    (tmp_path / "slow").unlink()
    await until(lambda: supervisor.good > good + 1)
    (tmp_path / "wedged").touch()
    await until(lambda: supervisor.pids["served"] != second)


async def test_a_service_that_makes_no_progress_from_its_first_answer_on_is_killed_in_time(
    supervisor: Supervisor, service: Service, tmp_path: Path
) -> None:
    """Its time to start, a minute, is not waited for."""
    await supervisor.start([service])
    (tmp_path / "broken").touch()
    (tmp_path / "wedged").touch()

    second = await _killed(supervisor)
    async with asyncio.timeout(30):
        await until(lambda: supervisor.pids["served"] != second)


async def test_a_service_that_takes_no_connection_within_its_time_to_start_is_killed(
    service: Service, tmp_path: Path, reports: list[str]
) -> None:
    supervisor = Supervisor(tmp_path / "logs", reports.append, poll_seconds=0.05, start_seconds=0.2)
    await supervisor.start([service])
    first = supervisor.pids["served"]
    (tmp_path / "slow").touch()

    os.kill(first, signal.SIGKILL)
    await until(lambda: "served makes no progress and is killed" in reports)
    await supervisor.stop()


async def test_a_service_that_does_not_start_is_named_with_the_end_of_its_log(supervisor: Supervisor) -> None:
    broken = Service("broken", (sys.executable, "-c", "print('PORT is missing')"), {}, "http://127.0.0.1:1")

    with pytest.raises(StartError, match="broken did not start:\nPORT is missing"):
        await supervisor.start([broken])


async def test_a_service_that_cannot_be_started_again_is_tried_until_it_can(
    supervisor: Supervisor, service: Service, tmp_path: Path
) -> None:
    await supervisor.start([service])
    first = supervisor.pids["served"]
    log = tmp_path / "logs" / "served.log"
    log.rename(log.with_suffix(".old"))
    log.mkdir()  # no output can be written there

    os.kill(first, signal.SIGKILL)
    await until(lambda: not runs(first))
    log.rmdir()
    await until(lambda: supervisor.pids["served"] != first)


async def test_services_end_with_a_killed_supervisor_even_if_they_ignore_signals(tmp_path: Path) -> None:
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUPERVISES, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert supervisor.stdout is not None
    child = int(await supervisor.stdout.readline())
    assert runs(child)

    supervisor.kill()
    await supervisor.communicate()

    await until(lambda: not runs(child))


class Stumbling:
    """A part of the stack whose second start fails, as Postgres's does while what a kill left behind is still ending."""

    def __init__(self, folder: Path) -> None:
        self.process: asyncio.subprocess.Process | None = None
        self.starts = 0
        self._log = folder / "part.log"

    async def start(self) -> None:
        stays = () if self.starts == 1 else ("-c", "import time; time.sleep(600)")
        self.process = await spawn((sys.executable, *stays), self._log)
        self.starts += 1
        if not stays:
            raise StartError("not yet")


async def test_a_killed_database_is_started_again_also_where_the_first_try_fails(
    tmp_path: Path, reports: list[str]
) -> None:
    part = Stumbling(tmp_path)
    await part.start()
    assert part.process is not None
    first = part.process
    keeping = asyncio.create_task(keep_running("Postgres", part, reports.append))

    first.kill()
    await until(lambda: part.starts == 3)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)

    assert part.process.returncode is None
    assert reports == ["Postgres ended and is started again"] * 2
    await stop(part.process)
