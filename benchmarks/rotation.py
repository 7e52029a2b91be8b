"""How fast the key-encryption key is rotated under load, on a real broker and database, and whether the load notices.

Everything runs as in `grafient up`. Beside it, a process opens random credentials as the syncer does, and teams are
connected by HTTP. Figures are given per second, and as a ratio to a plain UPDATE of as many rows, which is comparable
between machines.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import psycopg
import typer
from common.crypto.envelopes import Binding, UnsealableError
from common.crypto.keyring import LiveKeyring, load_keyring
from common.crypto.sealing import Opener, Sealer
from common.database import Database, make_engine
from grafient.cli.output import Json
from grafient.cli.tables import Row
from grafient.local.processes import stop
from pydantic import SecretStr
from syncer.store import load_credential

from benchmarks.support.report import Markdown, RefusedRunError, Report, Runs, machine, median_row, progress, rounded
from benchmarks.support.system import Running, running_system

EXAMPLE = "make bench ARGS='rotation --rows 20000 --runs 1'"
ACCOUNT = "rotated"
ENVIRONMENT = "local"
READERS = 4

PLAIN = "UPDATE connector.integrations SET wrap_version = wrap_version + 1, announced_wrap_version = announced_wrap_version + 1"
CONNECTOR = """
    INSERT INTO connector.integrations (integration_id, account_id, team_id, label, status, status_since, version,
        credential_version, wrap_version, envelope, history_from, backfill_first, backfill_last, added_at, changed_at,
        announced_version, announced_credential_version, announced_wrap_version, announced_at)
    SELECT new.id, %s, new.id::text, 'label', 'active', now(), 1, 1, 1, new.envelope::jsonb, now(), now(), now(), now(), now(),
        1, 1, 1, now()
    FROM unnest(%s::uuid[], %s::text[]) new (id, envelope)
"""
SYNCER = """
    INSERT INTO syncer.credentials
    SELECT integration_id, account_id, credential_version, wrap_version, envelope FROM connector.integrations
    WHERE account_id = %s
"""


@dataclass(slots=True)
class Load:
    """What the load measured."""

    opened: int = 0
    failed: int = 0
    slowest_ms: float = 0.0
    connected: int = 0
    refused: int = 0


def rotation(
    *,
    rows: Annotated[int, typer.Option(min=100, help="Credentials.")] = 100_000,
    runs: Runs = 3,
    as_json: Json = False,
    markdown: Markdown = False,
    load: Annotated[
        bool, typer.Option("--load", hidden=True, help="Run as the load; the system's addresses are on standard input.")
    ] = False,
) -> None:
    """Time of a rotation under load, as a ratio to a plain UPDATE of as many rows, and what the load notices."""
    if load:
        typer.echo(json.dumps(asdict(asyncio.run(_load(json.loads(sys.stdin.readline()))))))
    else:
        asyncio.run(measure(rows, runs)).show(as_json=as_json, markdown=markdown)


async def measure(rows: int, runs: int) -> Report:
    """Every run in a system of its own: a rotation is done once."""
    found = []
    for _ in range(runs):
        async with running_system({"LOG_LEVEL": "WARNING"}) as running:
            found.append(await rotate(running, rows))
    return Report(
        "Rotation of the key-encryption key", [median_row(found)], machine() | {"credentials": rows, "runs": runs}
    )


async def rotate(running: Running, rows: int) -> Row:
    """Seal so many credentials, and wrap all of them again while others use them."""
    address, keyring = running.address, running.folder / "keyring.json"
    progress(f"sealing {rows} credentials")
    async with await psycopg.AsyncConnection.connect(running.dsn, autocommit=True) as database:
        await _fill(database, Sealer(load_keyring(keyring), ENVIRONMENT), rows)
        plain = await _timed(database.execute(PLAIN))
        await database.execute("VACUUM ANALYZE")
    environment = os.environ | {
        "DATABASE_URL": address.database_url,
        "KAFKA_BOOTSTRAP_SERVERS": address.kafka,
        "KEYRING_FILE": str(keyring),
        "ENVIRONMENT": ENVIRONMENT,
    }
    async with _under_load(asdict(address) | {"keyring": str(keyring)}) as load:
        await _keys(environment, "add", "next")
        await _keys(environment, "use", "next")
        moving = await _timed(_keys(environment, "rewrap", "--no-wait"))
        following = await _timed(_keys(environment, "rewrap"))
        await _keys(environment, "check")
        load.send_signal(signal.SIGTERM)
        printed = (await load.communicate())[0]
    if load.returncode:
        raise RefusedRunError("the load ended before the rotation did")
    seen: dict[str, Any] = json.loads(printed.splitlines()[-1])  # after its log
    whole = moving + following
    return {
        "rotated_per_s": rounded(rows / whole),
        "ratio_to_update": rounded(whole / plain),
        "wrapped_per_s": rounded(rows / moving),
        "wrapping_ratio": rounded(moving / plain),
        "update_s": rounded(plain),
        **seen,
    }


async def _fill(database: psycopg.AsyncConnection[Any], sealer: Sealer, rows: int) -> None:
    await database.execute("INSERT INTO connector.accounts (account_id, plan) VALUES (%s, 'free')", [ACCOUNT])
    for ids in _batches(rows):
        envelopes = [json.dumps(sealer.seal(f"obviously-fake-{one}", Binding(ACCOUNT, one, 1))) for one in ids]
        await database.execute(CONNECTOR, [ACCOUNT, ids, envelopes])
    await database.execute(SYNCER, [ACCOUNT])


def _batches(rows: int, at_once: int = 10_000) -> Iterator[list[uuid.UUID]]:
    for first in range(0, rows, at_once):
        yield [uuid.uuid4() for _ in range(min(at_once, rows - first))]


async def _timed(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def _keys(environment: dict[str, str], *arguments: str) -> None:
    command = (sys.executable, "-m", "grafient", "keys", *arguments, "--json")
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    progress(f"keys {' '.join(arguments)}: {printed.decode().strip()}")
    if process.returncode:
        raise RefusedRunError(f"keys {arguments[0]} ended with status {process.returncode}")


@asynccontextmanager
async def _under_load(target: dict[str, Any]) -> AsyncIterator[asyncio.subprocess.Process]:
    """It gets `target` by standard input, for the token has no place in a list of processes; a run that fails ends it, too."""
    pipe, command = asyncio.subprocess.PIPE, (sys.executable, "-m", "benchmarks", "rotation", "--load")
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    try:
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        process.stdin.write(json.dumps(target).encode() + b"\n")
        await process.stdin.drain()
        yield process
    finally:
        await stop(process)


async def _load(target: dict[str, Any]) -> Load:
    """Open credentials and connect teams until SIGTERM."""
    seen = Load()
    database = Database(make_engine(SecretStr(target["database_url"]), schema="syncer", pool_size=READERS))
    opener = Opener(LiveKeyring(Path(target["keyring"])), ENVIRONMENT)
    ids = await _ids(target["database_url"])
    work = [asyncio.create_task(_open(database, opener, ids, seen)) for _ in range(READERS)]
    work.append(asyncio.create_task(_connect(target, seen)))
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    for one in work:
        one.cancel()
        with suppress(asyncio.CancelledError):
            await one
    await database.close()
    return seen


async def _ids(url: str) -> list[uuid.UUID]:
    async with await psycopg.AsyncConnection.connect(url.replace("+psycopg", "")) as connection:
        cursor = await connection.execute(
            "SELECT integration_id FROM syncer.credentials WHERE account_id = %s", [ACCOUNT]
        )
        return [row[0] for row in await cursor.fetchall()]


async def _open(database: Database, opener: Opener, ids: list[uuid.UUID], seen: Load) -> None:
    while True:
        integration_id = random.choice(ids)  # noqa: S311 - any will do
        began = time.perf_counter()
        async with database.transaction() as connection:
            credential = await load_credential(connection, integration_id)
        try:
            assert credential is not None  # noqa: S101 - nobody removes one
            place = Binding(credential.account_id, integration_id, credential.credential_version)
            opened = opener.open(credential.envelope, place)
        except UnsealableError:
            opened = ""
        seen.opened += opened == f"obviously-fake-{integration_id}"
        seen.failed += opened != f"obviously-fake-{integration_id}"
        seen.slowest_ms = max(seen.slowest_ms, round(1000 * (time.perf_counter() - began), 1))
        await asyncio.sleep(0.001)


async def _connect(target: dict[str, Any], seen: Load) -> None:
    headers = {"Authorization": f"Bearer {target['token']}"}
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        while True:
            team, key, account = str(uuid.uuid4()), f"fake-key-{uuid.uuid4().hex}", uuid.uuid4().hex
            body = {"team_id": team, "management_key": key, "plan": "free"}
            url = f"{target['connector_url']}/v1/accounts/{account}/integrations"
            connected = False
            with suppress(httpx.TransportError):
                connected = (await http.post(url, json=body, headers=headers)).is_success
            seen.connected += connected
            seen.refused += not connected
            await asyncio.sleep(1)
