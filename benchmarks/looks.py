"""What the syncer looks for without anybody asking, in a fleet whose days are all covered: it finds nothing to do.

Rows are those that Postgres read from the syncer's tables, by its own counters.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

import psycopg
import typer
from common.database import Database, make_engine
from common.watchdog import Watchdog
from grafient.cli.output import Json
from grafient.cli.tables import Row
from pydantic import SecretStr
from syncer.healer import Healer
from syncer.housekeeping import Housekeeping

from benchmarks.support.report import Markdown, Report, Runs, machine, median_row, progress, rounded
from benchmarks.support.stack import CURRENT, Stack, running_stack

EXAMPLE = "make bench ARGS='looks --integrations 10000 --runs 1'"
DATABASE = "looks"
EVERY = 60.0
"""Seconds between two rounds, as by default."""
DAYS = 90
# Rows are stored day by day, as they come: those of an integration are far from each other. Keys are made at once.
FLEET = (
    """INSERT INTO syncer.integrations (integration_id, account_id, team_id, plan, removed, version, credential_version,
        history_from, read_at, sweep_at)
    SELECT gen_random_uuid(), 'account-' || number, gen_random_uuid(), 'pro', false, 1, 1, current_date - 89, now(),
        now() + interval '1 day' FROM generate_series(1, %(integrations)s) number""",
    "ALTER TABLE syncer.coverage DROP CONSTRAINT coverage_pkey",
    "ALTER TABLE syncer.known_days DROP CONSTRAINT known_days_pkey",
    """INSERT INTO syncer.coverage (integration_id, day, published_at, confirmed_at)
    SELECT integration_id, current_date - number, now(), now()
    FROM syncer.integrations, generate_series(0, %(days)s - 1) number ORDER BY number DESC""",
    """INSERT INTO syncer.known_days (integration_id, day, ticks)
    SELECT integration_id, day, '{"grok-4-0709": 10000000000}' FROM syncer.coverage""",
    "ALTER TABLE syncer.coverage ADD PRIMARY KEY (integration_id, day)",
    "ALTER TABLE syncer.known_days ADD PRIMARY KEY (integration_id, day)",
    "VACUUM ANALYZE",
)
ROWS = """SELECT coalesce(sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), 0)::bigint
    FROM pg_stat_user_tables WHERE schemaname = 'syncer'"""


def looks(
    *,
    integrations: Annotated[int, typer.Option(min=1, help="Each with 90 days.")] = 100_000,
    runs: Runs = 3,
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Time of each look that the syncer takes once a minute or once an hour, and the rows that it reads."""
    asyncio.run(measure(integrations, runs)).show(as_json=as_json, markdown=markdown)


async def measure(integrations: int, runs: int) -> Report:
    found: dict[str, list[Row]] = defaultdict(list)
    async with running_stack() as stack:
        await stack.create_database(DATABASE)
        await stack.migrate(CURRENT, DATABASE)
        progress(f"{integrations} integrations with {DAYS} days each")
        await _fill(stack, integrations)
        for _ in range(runs):
            for name in ("healer", "repair_clock_steps", "count_waiting_for_key", "count_unopened", "delete_expired"):
                found[name].append(await _look(stack, name))
    settings = machine() | {"runs": runs, "integrations": integrations, "days": DAYS}
    return Report("Looks of the syncer", [median_row(rows) for rows in found.values()], settings)


async def _fill(stack: Stack, integrations: int) -> None:
    async with await psycopg.AsyncConnection.connect(stack.dsn(DATABASE), autocommit=True) as connection:
        for statement in FLEET:
            values = {"integrations": integrations, "days": DAYS}
            await connection.execute(statement, values if "%(" in statement else None)


async def _look(stack: Stack, name: str) -> Row:
    """The counters of a session are complete when it has ended."""
    before = await _rows(stack)
    database = Database(make_engine(SecretStr(stack.url_of("syncer", DATABASE)), schema="syncer"))
    took = await _timed(_step(database, name))
    await database.close()
    progress(f"{name}: {took:.3f} s")
    return {"look": name, "seconds": rounded(took), "rows_read": await _rows(stack) - before}


def _step(database: Database, name: str) -> Callable[[], Awaitable[None]]:
    if name == "healer":
        return Healer(database, Watchdog(), every=EVERY, wake_worker=lambda: None).round
    return partial(getattr(Housekeeping, name), Housekeeping(database, Watchdog(), every=EVERY))


async def _timed(step: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await step()
    return time.perf_counter() - began


async def _rows(stack: Stack) -> int:
    async with await psycopg.AsyncConnection.connect(stack.dsn(DATABASE), autocommit=True) as connection:
        row = await (await connection.execute(ROWS)).fetchone()
    return int(row[0]) if row else 0
