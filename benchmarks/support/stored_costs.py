"""A ledger with many facts: one integration is stored by the ledger itself, and its rows are copied for the others."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from contract.fields import Plan, Status
from contract.messages import CostRecorded, IntegrationAdded
from contract.topics import COSTS, INTEGRATIONS
from grafient.local.processes import spawn, stop, tail

from benchmarks.support.copied_rows import copy_rows
from benchmarks.support.facts import LAST_DAY, Reading, record_of
from benchmarks.support.report import RefusedRunError, progress
from benchmarks.support.stack import Build, Stack

READING = Reading(integrations=1, windows=3, days=30, observed_at=datetime(2026, 10, 1, 6, tzinfo=UTC))
FIRST_DAY = LAST_DAY - timedelta(days=READING.windows * READING.days - 1)
TABLES = ("days", "integrations", "outcomes")


@dataclass(frozen=True, slots=True)
class Accounts:
    """So many integrations for each account."""

    prefix: str
    count: int
    integrations: int = 1

    def rows(self) -> list[dict[str, object]]:
        names = [f"{self.prefix}-{number}" for number in range(self.count) for _ in range(self.integrations)]
        return [{"integration_id": uuid4(), "account_id": name} for name in names]


async def store(stack: Stack, build: Build, database: str, accounts: Sequence[Accounts]) -> None:
    """READING for every integration of `accounts`, in a database of its own."""
    await stack.create_database(database)
    await stack.migrate(build, database)
    (first, *_) = READING.records()
    record = record_of(added(first.value), first.key.decode(), "added", "benchmark", _NOW)
    for topic, records in ((COSTS, READING.records()), (INTEGRATIONS, [record])):
        await stack.broker.fill(topic, records)
        await stack.broker.rewind("ledger", topic)
    log = stack.folder / "logs" / "ledger.log"
    process = await spawn((build.python, "-m", "ledger"), log, env=stack.ledger_environment(database))
    try:
        while await stack.broker.left("ledger", COSTS) or await stack.broker.left("ledger", INTEGRATIONS):
            await asyncio.sleep(0.05)
    finally:
        await stop(process)
    copies = [row for one in accounts for row in one.rows()]
    progress(f"copying {len(copies) * READING.facts} facts")
    original = CostRecorded.model_validate_json(first.value)
    row = {"integration_id": original.integration_id, "account_id": original.account_id}
    stored = await copy_rows(stack.dsn(database), "ledger", TABLES, row, copies)
    if stored["days"] != len(copies) * READING.windows * READING.days:
        raise RefusedRunError(f"the ledger did not store what is read:\n{tail(log)}")


_NOW = READING.observed_at


def added(first: bytes) -> IntegrationAdded:
    """The integration that a CostRecorded is about."""
    day = CostRecorded.model_validate_json(first)
    return IntegrationAdded(
        integration_id=day.integration_id,
        account_id=day.account_id,
        team_id=str(uuid4()),
        label="label",
        plan=Plan.PRO,
        status=Status.ACTIVE,
        version=1,
        credential_version=1,
        added_at=_NOW,
        history_from=FIRST_DAY,
        changed_at=_NOW,
    )
