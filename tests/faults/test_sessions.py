"""Faults that last longer than a session, a statement or a start: locks, freezes, kills. A late return does no harm."""

import asyncio
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

from tests.faults.support.fault import Fault
from tests.faults.support.load import Load
from tests.support.processes import signal_with_children
from tests.support.system import SystemClient
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(400)]

LOCKED = 60.0
FROZEN = 38.0
"""Seconds: past the group's session of 30 s, so that its partitions have been reassigned when it resumes."""
BOTH = 25.0
UNAVAILABLE = {"kafka": 30.0, "postgres": 35.0}
KILLS = 3
AGAIN_AFTER = 5.0
COMMITTERS = 8
CONSUMES = {"ledger": COSTS, "syncer": SYNC_REQUESTS, "connector": SYNC_OUTCOMES}


@pytest.mark.parametrize("table", ["ledger.days", "syncer.windows", "connector.integrations"])
async def test_no_service_is_restarted_because_a_table_is_locked_for_a_minute(
    client: SystemClient, fault: Fault, table: str
) -> None:
    """Attempts that end by failing are progress: a statement may take 15 s, a lock 10."""
    before = client.system.address().pids

    async with fault(f"{table} is locked for {LOCKED:.0f} s"):
        async with await psycopg.AsyncConnection.connect(client.dsn) as connection:
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            await asyncio.sleep(LOCKED)  # the fault is an interval
            await connection.rollback()
        assert client.system.address().pids == before


@dataclass
class ExtraProcess:
    """A process of a service that nothing supervises."""

    process: asyncio.subprocess.Process
    log: Path
    url: str

    async def consumes(self) -> None:
        """Wait until it is ready, and records are delivered to it."""

        async def delivered() -> bool:
            with suppress(httpx.TransportError):
                async with httpx.AsyncClient(trust_env=False) as http:
                    ready = (await http.get(f"{self.url}/readyz")).is_success
                return ready and b"message.delivered" in await asyncio.to_thread(self.log.read_bytes)
            return False

        await until(delivered)


@asynccontextmanager
async def extra_process(system: System, service: str, name: str, log: str) -> AsyncIterator[ExtraProcess]:
    """One more process of the service, with that instance name."""
    (port,) = free_ports(1)
    env = system.environment_of(service) | {"INSTANCE_NAME": name, "PORT": str(port)}
    path = system.logs / f"{log}.log"
    process = await spawn((sys.executable, "-m", service), path, env=env, when_orphaned=signal.SIGKILL)
    try:
        yield ExtraProcess(process, path, f"http://127.0.0.1:{port}")
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
        await stop(process)


@asynccontextmanager
async def busy(client: SystemClient, service: str, name: str) -> AsyncIterator[None]:
    """The process has work at the beginning that cannot end before the context does."""
    if service == "syncer":
        await client.control("POST", "/faults", {"times": None, "delay_ms": 1000})
        leased = "SELECT 1 FROM syncer.integrations WHERE lease_owner = %s AND lease_until > clock_timestamp()"
        await until(lambda: client.rows(leased, name))
        yield
        await client.clear_faults()
        return
    async with client.locked({"ledger": "ledger.days", "connector": "connector.integrations"}[service]):
        await asyncio.sleep(1)  # until a message, or a batch, waits in each of them
        yield


async def _members(client: SystemClient, service: str) -> set[str | None]:
    """Instance names of the group's members."""
    group = group_of(service, CONSUMES[service])
    admin = AdminClient({"bootstrap.servers": client.system.kafka.bootstrap_servers})
    described = await asyncio.to_thread(admin.describe_consumer_groups([group])[group].result)
    return {member.group_instance_id for member in described.members}


@pytest.mark.parametrize("service", CONSUMES)
async def test_a_process_that_resumes_after_its_partitions_were_reassigned_doubles_nothing(
    client: SystemClient, fault: Fault, service: str
) -> None:
    name = f"{service}-2"
    async with extra_process(client.system, service, name, name) as extra:
        async with fault(f"one of two {service}s is frozen for {FROZEN:.0f} s and resumed"):
            await extra.consumes()
            async with busy(client, service, name):
                extra.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(FROZEN)  # the fault is an interval
            assert name not in await _members(client, service)
            extra.process.send_signal(signal.SIGCONT)
            await until(lambda: _members(client, service), lambda members: name in members)
        async with fault(f"one of two {service}s is removed", under_load=False):
            await stop(extra.process)


@pytest.mark.parametrize("service", CONSUMES)
async def test_two_processes_with_one_name_fence_each_other_and_double_nothing(
    client: SystemClient, fault: Fault, service: str
) -> None:
    """As when an unreachable machine's process is started on another one, and the first machine comes back."""
    name, system = f"{service}-2", client.system
    async with (
        extra_process(system, service, name, f"{name}-former") as former,
        fault(f"two {service}s have one name for {BOTH:.0f} s"),
    ):
        await former.consumes()
        former.process.send_signal(signal.SIGSTOP)
        async with extra_process(system, service, name, f"{name}-successor") as successor:
            await successor.consumes()
            former.process.send_signal(signal.SIGCONT)
            await asyncio.sleep(BOTH)  # the fault is an interval
            assert b"consumer.unsteady" in former.log.read_bytes() + successor.log.read_bytes()
            await stop(former.process)
            assert successor.process.returncode is None


@pytest.mark.parametrize("name", UNAVAILABLE)
async def test_nothing_is_lost_when_for_longer_than_a_session_no_answer_comes_from(
    client: SystemClient, fault: Fault, name: str
) -> None:
    async with fault(f"{name} is frozen for {UNAVAILABLE[name]:.0f} s"):
        signal_with_children(client.pid(name), signal.SIGSTOP)  # those of Postgres would go on without it
        try:
            await asyncio.sleep(UNAVAILABLE[name])  # the fault is an interval
        finally:
            signal_with_children(client.pid(name), signal.SIGCONT)


async def _killed(client: SystemClient, name: str) -> None:
    pid = client.pid(name)
    signal_with_children(pid, signal.SIGKILL)
    await client.replaced(name, pid)


async def _answers(client: SystemClient, name: str) -> None:
    await (client.broker_answers() if name == "kafka" else client.reconnect())


@pytest.mark.parametrize("name", UNAVAILABLE)
async def test_nothing_is_lost_by_kills_before_the_recovery_ends_of(
    client: SystemClient, fault: Fault, name: str
) -> None:
    async with fault(f"{name} is killed {KILLS} times") as row:
        began = time.monotonic()
        for _ in range(KILLS):
            await _killed(client, name)
            await asyncio.sleep(AGAIN_AFTER)  # the fault is an interval
        row.note(f"within {time.monotonic() - began:.0f} s")
        await _answers(client, name)


async def test_what_postgres_has_confirmed_survives_a_kill_in_mid_commit(load: Load, fault: Fault) -> None:
    client, in_mid_commit, confirmed = load.client, 0, set[int]()
    async with await psycopg.AsyncConnection.connect(client.dsn, autocommit=True) as connection:
        await connection.execute("CREATE TABLE public.confirmed (number int)")

    async with fault("Postgres is killed") as row:
        for kill in range(KILLS):
            committing = [
                asyncio.create_task(_commit(client, range(start, 10**9, COMMITTERS), confirmed))
                for start in range(kill * 10**6, kill * 10**6 + COMMITTERS)
            ]
            await _more_is_accepted(load)
            in_mid_commit += await _many_commit(client)
            await _killed(client, "postgres")
            await asyncio.gather(*committing)
            await _answers(client, "postgres")
        row.note(f"{in_mid_commit} commits under way")

    rows = [number for (number,) in await client.rows("SELECT number FROM public.confirmed")]
    assert confirmed <= set(rows)
    assert len(rows) == len(set(rows))


async def _more_is_accepted(load: Load) -> None:
    before = len(load.accepted)
    await until(lambda: len(load.accepted), lambda accepted: accepted > before + KILLS)


async def _commit(client: SystemClient, numbers: range, confirmed: set[int]) -> None:
    """One after another, until the database is gone."""
    with suppress(psycopg.OperationalError):
        async with await psycopg.AsyncConnection.connect(client.dsn) as connection:
            for number in numbers:
                await connection.execute("INSERT INTO public.confirmed VALUES (%s)", [number])
                await connection.commit()
                confirmed.add(number)


async def _many_commit(client: SystemClient) -> int:
    """Wait until several transactions are being committed at once; return how many."""
    committing = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'COMMIT'"
    rows = await until(lambda: client.rows(committing), lambda rows: rows[0][0] > 1)
    return int(rows[0][0])
