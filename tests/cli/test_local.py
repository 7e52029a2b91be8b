"""The embedded stack: checked jars, supervised processes, nothing left behind."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from grafient.local import jars
from grafient.local.jars import FetchError, check
from grafient.local.postgres import Postgres, StartError
from grafient.local.processes import spawn
from grafient.local.supervisor import Service, Supervisor

FOREVER = (sys.executable, "-c", "import signal; signal.pause()")
CRASHING = (sys.executable, "-c", "raise SystemExit('no such setting')")
WITH_A_CHILD = """
import asyncio, pathlib, sys
from grafient.local.processes import spawn

async def main():
    child = await spawn([sys.executable, "-c", "import signal; signal.pause()"], pathlib.Path(sys.argv[1]))
    print(child.pid, flush=True)
    await child.wait()

asyncio.run(main())
"""


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_jar_that_is_not_the_expected_one_is_refused(tmp_path: Path) -> None:
    jar = tmp_path / "kafka-clients.jar"
    jar.write_bytes(b"tampered with")

    with pytest.raises(FetchError, match=r"kafka-clients\.jar is not the expected file"):
        check(jar, "0" * 64)


def test_a_jar_that_is_missing_is_named_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="run `make install`"):
        check(tmp_path / "kafka-clients.jar", "0" * 64)


def test_every_jar_of_the_stack_has_a_committed_hash() -> None:
    assert any(name == f"kafka_2.13-{jars.KAFKA_VERSION}.jar" for name in jars.expected())
    assert {len(digest) for digest in jars.expected().values()} == {64}


async def test_a_service_that_dies_is_started_again(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    await supervisor.start([Service("sleeper", FOREVER, dict(os.environ))])
    first = supervisor.pids["sleeper"]

    os.kill(first, signal.SIGKILL)
    await _until(lambda: supervisor.pids["sleeper"] != first)
    second = supervisor.pids["sleeper"]
    await supervisor.stop()

    assert not _runs(first)
    assert not _runs(second)


async def test_a_service_that_does_not_start_is_told_with_its_log(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    service = Service("broken", CRASHING, dict(os.environ), "http://127.0.0.1:9")

    with pytest.raises(StartError, match="broken did not start:\nno such setting"):
        await supervisor.start([service])
    await supervisor.stop()


async def test_children_die_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WITH_A_CHILD, str(tmp_path / "log"), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())

    parent.kill()
    await parent.communicate()

    await _until(lambda: not _runs(child))


async def test_postgres_keeps_its_data_over_an_end_and_a_start(tmp_path: Path) -> None:
    first = Postgres(tmp_path / "postgres")
    await first.start()
    await first.stop()
    second = Postgres(tmp_path / "postgres")
    await second.start()
    await second.stop()

    assert first.process is not None
    assert not _runs(first.process.pid)
    assert first.database_url != second.database_url or first.port == second.port


async def test_spawned_output_goes_to_the_log(tmp_path: Path) -> None:
    waiting: Awaitable[int] = (await spawn([sys.executable, "-c", "print('said')"], tmp_path / "log")).wait()

    assert await waiting == 0
    assert (tmp_path / "log").read_text() == "said\n"
