"""The ledger's tables: whose figures they hold, who may do what, and that they can stand elsewhere."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from common.database import Database
from common.migrations import migrate
from contract.fields import History, Status
from contract.messages import CostRecorded
from contract.rules import SETTLED_AFTER
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger.domain import ends_at
from ledger.store import days, erasure
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from tests.ledger.support.ledger import ACCOUNT, FIRST, NOON, World, later, reading

OTHER = "account-2"
NUMBERS = st.integers(0, 2)


@pytest.fixture
def team() -> UUID:
    return uuid4()


def of_other(day: CostRecorded) -> CostRecorded:
    return day.model_copy(update={"account_id": OTHER})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.dictionaries(st.tuples(NUMBERS, NUMBERS), st.sampled_from(["0.1", "0.2", "7"]), min_size=1), data=st.data()
)
async def test_no_order_no_copy_and_no_cut_between_batches_changes_the_figures(
    world: World, said: dict[tuple[int, int], str], data: st.DataObject
) -> None:
    await world.clear()
    team = UUID(int=1)
    told = {
        (day, hour): reading(team, {FIRST + timedelta(days=day): {"a": usd}}, observed_at=later(hour)).days[0]
        for (day, hour), usd in said.items()
    }
    copies = data.draw(st.lists(st.sampled_from(list(told.values())), max_size=5))
    shuffled = data.draw(st.permutations([*told.values(), *copies]))
    cut = data.draw(st.integers(0, len(shuffled)))

    await world.receive(*shuffled[:cut])
    await world.receive(*shuffled[cut:])

    newest = [told[day, max(hour for other, hour in told if other == day)] for day in sorted({day for day, _ in told})]
    assert [(row.day, row.usd, row.reading_id) for row in await world.figures()] == [
        (one.day, one.usd, one.reading_id) for one in newest
    ]


@pytest.mark.parametrize("usd", ["0." + "0" * 39 + "1", "999999999999999." + "9" * 40, "-12.5", "1E+3", "1E-9"])
async def test_every_digit_is_kept(world: World, team: UUID, usd: str) -> None:
    await world.receive(*reading(team, {FIRST: {"a": usd}}).days)

    (row,) = await world.sql("SELECT d.usd, c.usd AS of_label FROM days d JOIN daily_costs c USING (day)")
    assert row.usd == row.of_label == Decimal(usd)


@pytest.mark.parametrize("mine_first", [True, False])
async def test_no_account_changes_anothers_figures(world: World, team: UUID, *, mine_first: bool) -> None:
    (mine,) = reading(team, {FIRST: {"a": "1"}}).days
    theirs = of_other(reading(team, {FIRST: {"a": "99"}}, observed_at=later(1)).days[0])

    for day in (mine, theirs) if mine_first else (theirs, mine):
        await world.receive(day)

    assert await world.sql("SELECT account_id, usd FROM days ORDER BY 1") == [(ACCOUNT, 1), (OTHER, 99)]
    assert await world.revisions() == []


async def test_another_accounts_days_prove_no_window(world: World, team: UUID) -> None:
    said = reading(team, {FIRST: {"a": "1"}})
    await world.receive(*said.days, said.window)

    await world.receive(said.window.model_copy(update={"account_id": OTHER}))

    told = [(one.message.account_id, one.message.reconciled) for one in world.publisher.published]
    assert told == [(ACCOUNT, True), (OTHER, False)]


async def test_a_replayed_day_is_not_even_locked(world: World, team: UUID) -> None:
    said = reading(team, {FIRST: {"a": "1"}})
    await world.receive(*said.days)
    before = await world.sql("SELECT xmin, xmax FROM days")

    await world.receive(*said.days)

    assert await world.sql("SELECT xmin, xmax FROM days") == before


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE days",
        "DELETE FROM outcomes",
        "DELETE FROM integrations",
        "INSERT INTO day_revisions TABLE day_revisions",
        "UPDATE day_revisions SET usd = 0",
        "DELETE FROM day_revisions",
        "SELECT keep_revision()",
        "ALTER TABLE days DISABLE TRIGGER ALL",
        "CREATE TABLE mine (id int)",
    ],
)
async def test_the_ledgers_role_owns_nothing(world: World, statement: str) -> None:
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
        async with world.database.transaction() as connection:
            await connection.execute(text(statement))


async def test_what_a_day_said_before_is_kept_by_the_trigger_alone(world: World, team: UUID) -> None:
    for hour, usd in enumerate(("1", "2")):
        await world.receive(*reading(team, {FIRST: {"a": usd}}, observed_at=later(hour)).days)

    assert [row.usd for row in await world.revisions()] == [1]


async def test_a_temporary_table_does_not_lead_the_revisions_astray(world: World, team: UUID, owned: Any) -> None:
    first, second = (reading(team, {FIRST: {"a": usd}}, observed_at=later(int(usd))).days for usd in ("1", "2"))
    await world.receive(*first)

    async with owned.owner.transaction() as connection:  # the ledger's own role may make none
        await connection.execute(
            text("CREATE TEMPORARY TABLE day_revisions (LIKE ledger.day_revisions) ON COMMIT DROP")
        )
        await days.record(connection, second)

    assert [row.usd for row in await world.revisions()] == [1]


async def test_a_temporary_table_does_not_lead_the_erasing_astray(world: World, team: UUID, owned: Any) -> None:
    await world.receive(*reading(team, {FIRST: {"a": "1"}}).days)

    async with owned.owner.transaction() as connection:  # the ledger's own role may make none
        await connection.execute(text("CREATE TEMPORARY TABLE days (LIKE ledger.days) ON COMMIT DROP"))
        await erasure.erase(connection, team)

    assert await world.figures() == []


async def test_erasing_waits_for_the_batch_in_hand(world: World, team: UUID) -> None:
    removed = {"version": 2, "status": Status.REMOVED, "history": History.ERASE, "removed_at": NOON}
    async with world.database.transaction() as batch:
        await erasure.block_erasure(batch)
        assert await erasure.erased(batch, {team}) == set()
        erasing = asyncio.create_task(world.add(team, **removed))
        await _someone_waits(world)
        await days.record(batch, reading(team, {FIRST: {"a": "1"}}).days)
    await erasing

    assert await world.figures() == []


async def _someone_waits(world: World) -> None:
    async with asyncio.timeout(10):
        while not await world.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            await asyncio.sleep(0.01)


async def test_the_view_settles_a_day_when_the_rule_of_all_services_does(world: World, team: UUID) -> None:
    """The view's days are a literal of a released migration: they must be those of SETTLED_AFTER."""
    settles = ends_at(FIRST) + SETTLED_AFTER
    for observed_at, provisional in ((settles - timedelta(microseconds=1), True), (settles, False)):
        await world.receive(*reading(team, {FIRST: {"a": "1"}}, observed_at=observed_at).days)
        assert await world.sql("SELECT provisional FROM daily_costs") == [(provisional,)]


async def _say_twice(database: Database, team: UUID) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("SET LOCAL search_path TO ledger_elsewhere"))
        for usd in (1, 2):
            await days.record(connection, reading(team, {FIRST: {"a": str(usd)}}, observed_at=later(usd)).days)


async def test_the_tables_can_stand_in_another_schema(world: World, team: UUID, postgres: str) -> None:
    migrate(SecretStr(postgres), "ledger", schema="ledger_elsewhere")
    try:
        await _say_twice(world.database, team)
        assert await world.sql("SELECT usd FROM ledger_elsewhere.day_revisions") == [(1,)]
        async with world.database.transaction() as connection:
            await connection.execute(text("SELECT ledger_elsewhere.erase_integration(:id)"), {"id": team})
        assert await world.sql("SELECT 1 FROM ledger_elsewhere.days") == []
    finally:
        await world.sql("DROP SCHEMA ledger_elsewhere CASCADE")
