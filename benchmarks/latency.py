"""From Force Sync to its line in the history, one after another, while xAI answers at once.

The clock runs from the request of the web app until another session of Postgres sees the line. The legs between are taken
from the timestamps of the messages, which have milliseconds.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
import typer
from connector.events.event_log import CHANNEL
from contract.messages import Message, SyncCompleted, SyncRequested, WindowRead
from contract.topics import COSTS, SYNC_OUTCOMES, SYNC_REQUESTS, Topic
from grafient.cli.output import Json
from grafient.cli.tables import Row

from benchmarks.support.cpu import milliseconds_by_process, used
from benchmarks.support.profiling import profiled
from benchmarks.support.report import Markdown, Report, Runs, machine, median_row, percentile, progress, rounded
from benchmarks.support.system import FAST_CALLS, Running, running_system
from benchmarks.support.teams import account_of, connect_teams

M = TypeVar("M", bound=Message)
EXAMPLE = "make bench ARGS='latency --syncs 200'"
WARM = 200
"""Before the clock runs: by then Postgres has planned each statement for good, in every connection."""
TEAMS = 10
"""They take turns: one team has 60 calls a minute."""
LINE = "SELECT FROM connector.syncs WHERE integration_id = %s AND request_ids @> ARRAY[%s]"


@dataclass(frozen=True, slots=True)
class Sync:
    """Seconds since 1970 of the request, and of its line in the history."""

    request_id: str
    requested: float
    seen: float


def latency(
    *,
    syncs: Annotated[int, typer.Option(min=1, help="Force Syncs, one after another.")] = 200,
    runs: Runs = 3,
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Time from Force Sync to its line in the history, as a ratio to one commit, where it is spent, and the CPU time of one."""
    asyncio.run(measure(syncs, runs)).show(as_json=as_json, markdown=markdown)


async def measure(syncs: int, runs: int) -> Report:
    settings = machine() | {"syncs": syncs, "runs": runs} | FAST_CALLS
    async with running_system(FAST_CALLS) as running:
        ids = await connect_teams(running, TEAMS)
        await running.broker.warm()
        await force(running, ids, WARM)
        async with profiled(running.pids()):
            rows = [await force(running, ids, syncs) for _ in range(runs)]
    return Report("Force Sync to its line in the history", [median_row(rows)], settings)


async def force(running: Running, ids: Sequence[UUID], count: int) -> Row:
    """So many syncs, in turn; medians of the legs in milliseconds."""
    topics = {topic: await running.broker.ends(topic) for topic in (SYNC_REQUESTS, COSTS, SYNC_OUTCOMES)}
    async with await psycopg.AsyncConnection.connect(running.dsn, autocommit=True) as database:
        commit, before = await _commit(database), running.cpu()
        await database.execute(b"LISTEN " + CHANNEL.encode())  # as whoever sends events to an open page
        with closing(HTTPConnection(urlsplit(running.address.connector_url).netloc)) as web_app:
            done = [await _sync(running, web_app, database, ids[number % len(ids)]) for number in range(count)]
    await running.settled()
    cpu = used(before, running.cpu())
    took = [1000 * (one.seen - one.requested) for one in done]
    p50 = percentile(took, 0.5)
    progress(f"{count} syncs: p50 {p50:.1f} ms")
    legs = await _legs(running, topics, done)
    return {
        "p50_ms": rounded(p50),
        "p99_ms": rounded(percentile(took, 0.99)),
        "ratio_to_commit": rounded(p50 / commit),
        "commit_ms": rounded(commit),
        **{f"{name}_leg_ms": rounded(percentile(values, 0.5)) for name, values in legs.items()},
        **milliseconds_by_process(cpu, count, "a_sync"),
    }


async def _sync(
    running: Running, web_app: HTTPConnection, database: psycopg.AsyncConnection[Any], integration_id: UUID
) -> Sync:
    """The web app's client is the one that takes least of the processors."""
    path = f"/v1/accounts/{account_of(integration_id)}/integrations/{integration_id}/sync"
    headers = {"Authorization": f"Bearer {running.address.token}", "Content-Type": "application/json"}
    requested = time.time()
    web_app.request("POST", path, b"{}", headers)
    request_id = json.load(web_app.getresponse())["request_id"]
    while not (await database.execute(LINE, [integration_id, request_id])).rowcount:
        [_ async for _ in database.notifies(timeout=1, stop_after=1)]
    return Sync(request_id, requested, time.time())


async def _commit(database: psycopg.AsyncConnection[Any], times: int = 50) -> float:
    """Median milliseconds of a durable commit of one row."""
    await database.execute("CREATE TABLE IF NOT EXISTS benchmark_commits (number integer)")
    took = []
    for number in range(times):
        began = time.perf_counter()
        await database.execute("INSERT INTO benchmark_commits VALUES (%s)", [number])
        took.append(1000 * (time.perf_counter() - began))
    return percentile(took, 0.5)


async def _legs(
    running: Running, topics: Mapping[Topic, Mapping[int, int]], done: Sequence[Sync]
) -> dict[str, list[float]]:
    """By the last message of each service: milliseconds that each sync spent there."""
    requested = {one.request_id: at async for one, at in _messages(running, SYNC_REQUESTS, topics, SyncRequested)}
    read = {one.reading_id: at async for one, at in _messages(running, COSTS, topics, WindowRead)}
    completed = {
        request_id: (one.reading_id, at)
        async for one, at in _messages(running, SYNC_OUTCOMES, topics, SyncCompleted)
        for request_id in one.request_ids
    }
    legs: dict[str, list[float]] = {"http": [], "syncer": [], "ledger": [], "connector": []}
    for sync in done:
        reading_id, in_ledger = completed[sync.request_id]
        on_topic, published = requested[sync.request_id], read[reading_id]
        legs["http"].append(on_topic - 1000 * sync.requested)
        legs["syncer"].append(published - on_topic)
        legs["ledger"].append(in_ledger - published)
        legs["connector"].append(1000 * sync.seen - in_ledger)
    return legs


async def _messages(
    running: Running, topic: Topic, topics: Mapping[Topic, Mapping[int, int]], kind: type[M]
) -> AsyncIterator[tuple[M, int]]:
    """The messages of this type that were published meanwhile, with the records' timestamps."""
    async for record in running.broker.records(topic, topics[topic]):
        if dict(record.headers)["ce_type"] == kind.__name__.encode():
            yield kind.model_validate_json(record.value), record.timestamp
