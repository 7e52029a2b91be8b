"""The ledger's tables: figures, rights, and another schema."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from common.database import Database, Pipeline, pipelined
from common.migrations import migrate
from contract.rules import SETTLED_AFTER, ends_at
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger.store import days, erasure
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from tests.ledger.support.ledger import ERASED, FIRST, OTHER_ACCOUNT, LedgerHarness, later, reading_of
from tests.support.messages import ACCOUNT

NUMBERS = st.integers(0, 2)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    usd_of=st.dictionaries(st.tuples(NUMBERS, NUMBERS), st.sampled_from(["0.1", "0.2", "7"]), min_size=1),
    data=st.data(),
)
async def test_no_order_no_copy_and_no_cut_between_batches_changes_the_figures(
    ledger: LedgerHarness, usd_of: dict[tuple[int, int], str], data: st.DataObject
) -> None:
    await ledger.clear()
    team = UUID(int=1)
    messages = {
        (day, hour): reading_of(team, {FIRST + timedelta(days=day): {"a": usd}}, observed_at=later(hour)).days[0]
        for (day, hour), usd in usd_of.items()
    }
    copies = data.draw(st.lists(st.sampled_from(list(messages.values())), max_size=5))
    shuffled = data.draw(st.permutations([*messages.values(), *copies]))
    cut = data.draw(st.integers(0, len(shuffled)))

    await ledger.receive(*shuffled[:cut])
    await ledger.receive(*shuffled[cut:])

    newest = {day: messages[day, hour] for day, hour in sorted(messages)}
    assert [(row.day, row.usd, row.reading_id) for row in await ledger.figures()] == [
        (one.day, one.usd, one.reading_id) for one in newest.values()
    ]


@pytest.mark.parametrize("usd", ["0." + "0" * 39 + "1", "999999999999999." + "9" * 40, "-12.5", "1E+3", "1E-9"])
async def test_every_digit_is_kept(ledger: LedgerHarness, team: UUID, usd: str) -> None:
    await ledger.record(team, {FIRST: {"a": usd}})

    (row,) = await ledger.sql("SELECT d.usd, c.usd AS of_label FROM days d JOIN daily_costs c USING (day)")
    assert row.usd == row.of_label == Decimal(usd)


@pytest.mark.parametrize("mine_first", [True, False])
async def test_no_account_changes_anothers_figures(ledger: LedgerHarness, team: UUID, *, mine_first: bool) -> None:
    (mine,) = reading_of(team, {FIRST: {"a": "1"}}).days
    (day,) = reading_of(team, {FIRST: {"a": "99"}}, observed_at=later(1)).days
    theirs = day.model_copy(update={"account_id": OTHER_ACCOUNT})

    for message in (mine, theirs) if mine_first else (theirs, mine):
        await ledger.receive(message)

    assert await ledger.sql("SELECT account_id, usd FROM days ORDER BY 1") == [(ACCOUNT, 1), (OTHER_ACCOUNT, 99)]
    assert await ledger.revisions() == []


async def test_a_replayed_day_is_not_even_locked(ledger: LedgerHarness, team: UUID) -> None:
    reading = await ledger.record(team, {FIRST: {"a": "1"}})
    before = await ledger.sql("SELECT xmin, xmax FROM days")

    await ledger.receive(*reading.days)

    assert await ledger.sql("SELECT xmin, xmax FROM days") == before


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE days",
        "DELETE FROM days",
        "DELETE FROM outcomes",
        "DELETE FROM integrations",
        "INSERT INTO day_revisions TABLE day_revisions",
        "UPDATE day_revisions SET usd = 0",
        "DELETE FROM day_revisions",
        "TRUNCATE day_revisions",
        "INSERT INTO erased VALUES (gen_random_uuid())",
        "DELETE FROM erased",
        "SELECT keep_revision()",
        "ALTER TABLE days DISABLE TRIGGER ALL",
        "CREATE TABLE mine (id int)",
    ],
)
async def test_the_ledgers_role_owns_nothing_and_cannot_change_history(ledger: LedgerHarness, statement: str) -> None:
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
        async with ledger.database.transaction() as connection:
            await connection.execute(text(statement))


Step = Callable[[Pipeline, UUID], Awaitable[object]]


async def _record(pipeline: Pipeline, team: UUID, usd: str, hours: float = 0) -> None:
    await days.record(pipeline, reading_of(team, {FIRST: {"a": usd}}, observed_at=later(hours)).days)


async def _restate(pipeline: Pipeline, team: UUID) -> None:
    await _record(pipeline, team, "2", hours=1)


@pytest.mark.parametrize(
    ("table", "step", "rows"),
    [("day_revisions", _restate, 1), ("days", erasure.erase, 0)],
    ids=["record", "erase"],
)
async def test_a_temporary_table_does_not_misdirect_the_functions_of_the_owner(
    ledger: LedgerHarness, team: UUID, owned: Any, table: str, step: Step, rows: int
) -> None:
    await ledger.record(team, {FIRST: {"a": "1"}})

    async with owned.owner.transaction() as connection:  # the ledger's own role cannot create one
        await connection.execute(text(f"CREATE TEMPORARY TABLE {table} (LIKE ledger.{table}) ON COMMIT DROP"))
        async with pipelined(connection) as pipeline:
            await step(pipeline, team)

    assert (len(await ledger.revisions()), len(await ledger.figures())) == (rows, rows)


async def test_an_erasure_waits_for_the_running_batch(ledger: LedgerHarness, team: UUID) -> None:
    async with ledger.database.pipeline() as batch:
        await erasure.block_erasure(batch)
        assert await (await erasure.erased(batch, {team})).fetchall() == []
        erasing = asyncio.create_task(ledger.add(team, **ERASED))
        await _is_waited_for(ledger)
        await days.record(batch, reading_of(team, {FIRST: {"a": "1"}}).days)
    await erasing

    assert await ledger.figures() == []


async def _is_waited_for(ledger: LedgerHarness) -> None:
    async with asyncio.timeout(10):
        while not await ledger.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            await asyncio.sleep(0.01)


async def test_the_view_settles_a_day_when_the_rule_of_all_services_does(ledger: LedgerHarness, team: UUID) -> None:
    """The view's `d.day + 8` is a literal of a released migration: it must stay equal to SETTLED_AFTER."""
    settles = ends_at(FIRST) + SETTLED_AFTER
    for observed_at, provisional in ((settles - timedelta(microseconds=1), True), (settles, False)):
        await ledger.record(team, {FIRST: {"a": "1.5", "b": "2"}}, observed_at=observed_at)

        rows = await ledger.sql("SELECT label, usd, provisional FROM daily_costs ORDER BY label")
        assert rows == [("a", Decimal("1.5"), provisional), ("b", Decimal(2), provisional)]


async def _restate_elsewhere(database: Database, team: UUID) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("SET LOCAL search_path TO ledger_elsewhere"))
        async with pipelined(connection) as pipeline:
            await _record(pipeline, team, "1")
            await _restate(pipeline, team)


async def test_the_tables_can_be_in_another_schema(ledger: LedgerHarness, team: UUID, postgres: str) -> None:
    migrate(SecretStr(postgres), "ledger", schema="ledger_elsewhere")
    try:
        await _restate_elsewhere(ledger.database, team)
        assert await ledger.sql("SELECT usd FROM ledger_elsewhere.day_revisions") == [(1,)]
        async with ledger.database.transaction() as connection:
            await connection.execute(text("SELECT ledger_elsewhere.erase_integration(:id)"), {"id": team})
        assert await ledger.sql("SELECT 1 FROM ledger_elsewhere.days") == []
    finally:
        await ledger.sql("DROP SCHEMA ledger_elsewhere CASCADE")
