"""One claim of the syncer's worker, in a transaction of its own, while many windows are due."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

import typer
from common.database import Database, make_engine
from common.rate_limits import Rate
from contract.cloudevents import Event
from contract.fields import Plan, Status
from contract.messages import CredentialSealed, IntegrationAdded
from grafient.cli.output import Json
from grafient.cli.tables import Row
from pydantic import SecretStr
from sqlalchemy import text
from syncer import leases
from syncer.handlers import Handlers

from benchmarks.support.copied_rows import copy_rows
from benchmarks.support.report import (
    Markdown,
    RefusedRunError,
    Report,
    Runs,
    machine,
    median_row,
    percentile,
    progress,
    rounded,
)
from benchmarks.support.stack import CURRENT, Stack, running_stack

EXAMPLE = "make bench ARGS='claims --due 1000 --due 100000'"
DATABASE = "claims"
TABLES_OF = """
    SELECT DISTINCT table_name FROM information_schema.columns JOIN pg_tables ON tablename = table_name
    WHERE table_schema = 'syncer' AND schemaname = 'syncer' AND column_name = ANY(:names)
        AND table_name <> 'teams' -- a trigger adds the team of each integration
"""
COMMIT = "UPDATE syncer.integrations SET lease_owner = lease_owner WHERE integration_id = :id"
PER_TEAM = Rate(60, 60)
CLAIMS = 100
"""Of each size and run."""


def claims(
    *,
    due: Annotated[list[int] | None, typer.Option(min=CLAIMS, help="Windows that are due; may be repeated.")] = None,
    runs: Runs = 3,
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Time of a claim with more and more due windows, as a ratio to the commit of one row."""
    asyncio.run(measure(due or [1_000, 10_000, 100_000], runs)).show(as_json=as_json, markdown=markdown)


async def measure(due: Sequence[int], runs: int) -> Report:
    found: dict[int, list[Row]] = defaultdict(list)
    async with running_stack() as stack:
        for run in range(runs):
            for size in due:
                found[size].append(await claim_among(stack, size))
                progress(f"{size} due, run {run + 1}: {found[size][-1]['p50_ms']} ms")
    settings = machine() | {"runs": runs, "claims": CLAIMS}
    return Report("One claim", [median_row(rows) for rows in found.values()], settings)


async def claim_among(stack: Stack, size: int) -> Row:
    """Claims in a new database with so many due windows, each of an integration of its own."""
    await stack.create_database(DATABASE)
    await stack.migrate(CURRENT, DATABASE)
    database = Database(make_engine(SecretStr(stack.url_of("syncer", DATABASE)), schema="syncer"))
    try:
        first = await _first_window(database)
        await _copied(stack, database, first, size - 1)
        return await _claim(database, first, size)
    finally:
        await database.close()


async def _first_window(database: Database) -> dict[str, object]:
    """A new integration, as the syncer stores it: its backfill is one window, which is due."""
    now, integration_id, team_id = datetime.now(UTC), uuid4(), str(uuid4())
    handlers = Handlers(database, lambda: None)
    state = IntegrationAdded(
        integration_id=integration_id,
        account_id="account-0",
        team_id=team_id,
        label="label",
        plan=Plan.FREE,
        status=Status.BACKFILLING,
        version=1,
        credential_version=1,
        added_at=now,
        history_from=now.date(),
        changed_at=now,
    )
    key = CredentialSealed(
        integration_id=integration_id, account_id="account-0", credential_version=1, wrap_version=1, envelope={}
    )
    await handlers.integration(Event(state, "state", now))
    await handlers.credential(Event(key, "key", now))
    async with database.transaction() as connection:
        window_id = (await connection.execute(text("SELECT window_id FROM windows"))).scalar_one()
    return {"integration_id": integration_id, "team_id": team_id, "account_id": "account-0", "window_id": window_id}


async def _copied(stack: Stack, database: Database, first: dict[str, object], count: int) -> None:
    async with database.transaction() as connection:
        tables = (await connection.execute(text(TABLES_OF), {"names": list(first)})).scalars().all()
    copies = [
        {"integration_id": uuid4(), "team_id": str(uuid4()), "account_id": str(uuid4()), "window_id": uuid4()}
        for _ in range(count)
    ]
    await copy_rows(stack.dsn(DATABASE), "syncer", tables, first, copies)


async def _claim(database: Database, first: dict[str, object], size: int) -> Row:
    took, commits, claimed = list[float](), list[float](), set[UUID]()
    for _ in range(CLAIMS):
        began = time.perf_counter()
        found, _ = await leases.claim(database, "benchmark", PER_TEAM, 1)
        took.append(1000 * (time.perf_counter() - began))
        if not found or found[0].integration_id in claimed:
            raise RefusedRunError("a claim took nothing, or what was taken already")
        claimed.add(found[0].integration_id)
        began = time.perf_counter()
        async with database.transaction() as connection:
            await connection.execute(text(COMMIT), {"id": first["integration_id"]})
        commits.append(1000 * (time.perf_counter() - began))
    commit = percentile(commits, 0.5)
    return {
        "due": size,
        "p50_ms": rounded(percentile(took, 0.5)),
        "p99_ms": rounded(percentile(took, 0.99)),
        "ratio_to_commit": rounded(percentile(took, 0.5) / commit),
        "commit_ms": rounded(commit),
    }
