"""Longer than a session, a statement or a start: locks, freezes and kills that last. Who comes back late does no harm."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from contract.access import group_of
from contract.topics import COSTS, SYNC_OUTCOMES, SYNC_REQUESTS
from grafient.local.processes import free_ports, spawn, stop
from grafient.local.system import System

from tests.faults.support.load import Load, Result
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(400)]

LOCKED = 60.0
FROZEN = 38.0
"""Seconds: past the group's session of 30 s, so that its partitions are somebody else's when it wakes."""
BOTH = 25.0
AWAY = {"kafka": 30.0, "postgres": 35.0}
KILLS = 3
AGAIN_AFTER = 5.0
COMMITTERS = 8
CONSUMES = {"ledger": COSTS, "syncer": SYNC_REQUESTS, "connector": SYNC_OUTCOMES}


def _url(load: Load) -> str:
    return load.world.address.database_url.replace("+psycopg", "")


# Locks


@pytest.mark.parametrize("table", ["ledger.days", "syncer.windows", "connector.integrations"])
async def test_nobody_is_started_again_because_a_table_is_locked_for_a_minute(
    load: Load, results: list[Result], table: str
) -> None:
    """Attempts that end by failing are progress: a statement may take 15 s, a lock 10."""
    before = load.world.system.address().pids
    async with load.running(), await psycopg.AsyncConnection.connect(_url(load)) as connection:
        await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        await asyncio.sleep(LOCKED)  # the fault is an interval
        await connection.rollback()

    assert load.world.system.address().pids == before
    results.append(await load.heals(f"{table} is locked for {LOCKED:.0f} s"))


# Freezes


@dataclass
class Another:
    """A process that nobody watches or starts again."""

    process: asyncio.subprocess.Process
    log: Path
    url: str

    async def works(self) -> None:
        """Wait until all of it has started, and it is given messages."""

        async def delivered() -> bool:
            with suppress(httpx.TransportError):
                async with httpx.AsyncClient(trust_env=False) as client:
                    ready = (await client.get(f"{self.url}/readyz")).status_code == httpx.codes.OK
                return ready and b"message.delivered" in await asyncio.to_thread(self.log.read_bytes)
            return False

        await until(delivered)


@asynccontextmanager
async def another(system: System, service: str, name: str, log: str) -> AsyncIterator[Another]:
    """One more process of the service, under that name."""
    (port,) = free_ports(1)
    env = system.environment_of(service) | {"INSTANCE_NAME": name, "PORT": str(port)}
    path = system.logs / f"{log}.log"
    process = await spawn((sys.executable, "-m", service), path, env=env, when_orphaned=signal.SIGKILL)
    try:
        yield Another(process, path, f"http://127.0.0.1:{port}")
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
        await stop(process)


@asynccontextmanager
async def in_hand(load: Load, service: str, name: str) -> AsyncIterator[None]:
    """The process has work in hand at the beginning, which cannot end before the end."""
    if service == "syncer":
        await load.world.control("POST", "/faults", {"times": None, "delay_ms": 1000})
        leased = "SELECT 1 FROM syncer.integrations WHERE lease_owner = %s AND lease_until > clock_timestamp()"
        await until(lambda: load.world.rows(leased, name))
        yield
        await load.world.clear_faults()
        return
    async with load.world.locked({"ledger": "ledger.days", "connector": "connector.integrations"}[service]):
        await asyncio.sleep(1)  # a message, or a batch, waits in each of them
        yield


async def _members(load: Load, service: str) -> set[str | None]:
    """Names of the processes among which the broker shares out what the service consumes."""
    group = group_of(service, CONSUMES[service])
    admin = AdminClient({"bootstrap.servers": load.world.system.kafka.bootstrap_servers})
    described = await asyncio.to_thread(admin.describe_consumer_groups([group])[group].result)
    return {member.group_instance_id for member in described.members}


@pytest.mark.parametrize("service", CONSUMES)
async def test_who_wakes_after_its_partitions_went_to_another_doubles_nothing(
    load: Load, results: list[Result], service: str
) -> None:
    name = f"{service}-2"
    async with another(load.world.system, service, name, name) as one:
        async with load.running():
            await one.works()
            async with in_hand(load, service, name):
                one.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(FROZEN)  # the fault is an interval
            assert name not in await _members(load, service)
            one.process.send_signal(signal.SIGCONT)
            await until(lambda: _members(load, service), lambda found: name in found)
        results.append(await load.heals(f"one of two {service}s is frozen for {FROZEN:.0f} s and woken"))
    results.append(await load.heals(f"one of two {service}s is taken away"))


@pytest.mark.parametrize("service", CONSUMES)
async def test_two_with_one_name_take_it_from_each_other_and_double_nothing(
    load: Load, results: list[Result], service: str
) -> None:
    """As where a machine is not reachable, the process is started on another one, and the first machine is back for a while."""
    name, system = f"{service}-2", load.world.system
    async with another(system, service, name, f"{name}-former") as former:
        async with load.running():
            await former.works()
            former.process.send_signal(signal.SIGSTOP)
            async with another(system, service, name, f"{name}-successor") as successor:
                await successor.works()
                former.process.send_signal(signal.SIGCONT)
                await asyncio.sleep(BOTH)  # the fault is an interval
                assert b"consumer.unsteady" in former.log.read_bytes() + successor.log.read_bytes()
                await stop(former.process)
                assert successor.process.returncode is None
        results.append(await load.heals(f"two {service}s have one name for {BOTH:.0f} s"))


# What is away for long, or again and again


def _processes_of(pid: int) -> list[int]:
    """It and its children: those of Postgres would go on without it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *map(int, children.split())]


def _signal_all(load: Load, name: str, how: signal.Signals) -> None:
    for pid in _processes_of(load.world.system.address().pids[name]):
        with suppress(ProcessLookupError):
            os.kill(pid, how)


@pytest.mark.parametrize("name", AWAY)
async def test_what_does_not_answer_for_longer_than_a_session_is_waited_for(
    load: Load, results: list[Result], name: str
) -> None:
    async with load.running():
        _signal_all(load, name, signal.SIGSTOP)
        try:
            await asyncio.sleep(AWAY[name])  # the fault is an interval
        finally:
            _signal_all(load, name, signal.SIGCONT)

    results.append(await load.heals(f"{name} is frozen for {AWAY[name]:.0f} s"))


async def _killed(load: Load, name: str) -> None:
    """Killed with all its children, and another one is on its way."""
    former = load.world.system.address().pids[name]
    _signal_all(load, name, signal.SIGKILL)

    async def current() -> int:
        await asyncio.sleep(0)
        return load.world.system.address().pids[name]

    await until(current, lambda pid: pid != former)


async def _answers(load: Load, name: str) -> None:
    await (load.world.broker_answers() if name == "kafka" else load.world.reconnect())


@pytest.mark.parametrize("name", AWAY)
async def test_what_is_killed_again_before_it_comes_to_rest_loses_nothing(
    load: Load, results: list[Result], name: str
) -> None:
    async with load.running():
        began = time.monotonic()
        for _ in range(KILLS):
            await _killed(load, name)
            await asyncio.sleep(AGAIN_AFTER)  # the fault is an interval
        took = time.monotonic() - began
        await _answers(load, name)

    results.append(await load.heals(f"{name} is killed {KILLS} times within {took:.0f} s"))


async def test_what_postgres_has_confirmed_is_there_after_a_kill_in_mid_commit(
    load: Load, results: list[Result]
) -> None:
    async with await psycopg.AsyncConnection.connect(_url(load), autocommit=True) as connection:
        await connection.execute("CREATE TABLE public.confirmed (number int)")
    in_mid_commit, confirmed = 0, set[int]()
    async with load.running():
        for kill in range(KILLS):
            committing = [
                asyncio.create_task(_commit(load, range(start, 10**9, COMMITTERS), confirmed))
                for start in range(kill * 10**6, kill * 10**6 + COMMITTERS)
            ]
            await _busy(load)
            in_mid_commit += await _many_commit(load)
            await _killed(load, "postgres")
            await asyncio.gather(*committing)
            await _answers(load, "postgres")

    rows = [number for (number,) in await load.world.rows("SELECT number FROM public.confirmed")]
    assert confirmed <= set(rows)
    assert len(rows) == len(set(rows))
    results.append(await load.heals(f"Postgres is killed while {in_mid_commit} commits are under way"))


async def _busy(load: Load) -> None:
    """Wait until a few more wishes are accepted."""
    accepted = len(load.accepted)

    async def more() -> int:
        await asyncio.sleep(0)
        return len(load.accepted) - accepted

    await until(more, lambda found: found > KILLS)


async def _commit(load: Load, numbers: range, confirmed: set[int]) -> None:
    """One after another, until the database is gone."""
    with suppress(psycopg.OperationalError):
        async with await psycopg.AsyncConnection.connect(_url(load)) as connection:
            for number in numbers:
                await connection.execute("INSERT INTO public.confirmed VALUES (%s)", [number])
                await connection.commit()
                confirmed.add(number)


async def _many_commit(load: Load) -> int:
    """Wait until several transactions are being committed at once; answers how many."""
    committing = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'COMMIT'"

    async def count() -> int:
        ((found,),) = await load.world.rows(committing)
        return int(found)

    return await until(count, lambda found: found > 1)
