"""The ledger's tables a second time: the same figures from any history, and a swap that loses nothing of the live traffic."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from common.database import Database, make_engine
from common.errors import UsageError
from contract.fields import History, Status
from contract.messages import CostRecorded, Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger.handlers import Handlers
from ledger.operations import rebuild_diff, rebuild_swap, rebuild_tables
from ledger.operations.rebuild import TransactionView
from ledger.operations.rebuild_diff import Count
from ledger.operations.rebuild_tables import FirstRecords, RebuildError
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.ledger.support.ledger import FIRST, LedgerHarness, Reading, event_of, later, reading_of
from tests.support.fakes import RecordingPublisher

TEAM = UUID(int=1)
ERASED = {"status": Status.REMOVED, "history": History.ERASE, "version": 2}
NOTHING_IS_COPIED: FirstRecords = {}


class Rebuilt:
    """The rebuilt tables, beside the live ones of `live`."""

    def __init__(self, live: LedgerHarness, database: Database) -> None:
        self.live = live
        self.database = database
        self.handlers = self.through(database)

    def through(self, database: Database) -> Handlers:
        return Handlers(database, RecordingPublisher())

    async def clear(self) -> None:
        await self.live.clear()
        async with self.database.transaction() as connection:
            await connection.execute(text("TRUNCATE integrations, days, label_lists, day_revisions, outcomes, erased"))

    async def receive(self, *messages: Message) -> None:
        await self.handlers.costs([event_of(one) for one in messages])

    async def differences(self, first_records: FirstRecords = NOTHING_IS_COPIED) -> list[Count]:
        async with self.database.transaction() as connection:
            await rebuild_tables.take_over(connection, first_records)
            await rebuild_diff.find(connection)
            return await rebuild_diff.counts(connection)

    async def swap(self) -> str:
        async with self.database.transaction() as connection:
            await rebuild_swap.stop_writes(connection)
            return await rebuild_swap.exchange(connection, datetime.now(UTC))


@pytest.fixture
async def rebuilt(ledger: LedgerHarness, postgres: str) -> AsyncIterator[Rebuilt]:
    rebuild_tables.make(SecretStr(postgres))
    database = Database(make_engine(SecretStr(postgres), schema=rebuild_tables.SCHEMA))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        made = Rebuilt(ledger, database)
        await made.clear()
        yield made
        rows = await ledger.sql("SELECT nspname FROM pg_namespace WHERE nspname ~ '^ledger_(rebuilt|before_)'")
        for row in rows:
            async with database.transaction() as connection:
                await rebuild_tables.drop(connection, row.nspname)


def of_hours(usd: dict[int, dict[int, str]]) -> list[Reading]:
    """A reading an hour, oldest first: USD by day of each."""
    return [
        reading_of(
            TEAM, {FIRST + timedelta(days=day): {"a": usd} for day, usd in days.items()}, observed_at=later(hour)
        )
        for hour, days in sorted(usd.items())
    ]


def messages_of(readings: Sequence[Reading]) -> list[Message]:
    return [message for one in readings for message in (*one.days, one.window)]


DAYS = st.dictionaries(st.integers(0, 2), st.sampled_from(["0.1", "7"]), min_size=1)
HISTORIES = st.dictionaries(st.integers(0, 5), DAYS, min_size=1)
FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FEW
@given(usd=HISTORIES, erase=st.booleans(), data=st.data())
async def test_whatever_came_in_whatever_order_the_rebuilt_figures_are_the_live_ones(
    rebuilt: Rebuilt, usd: dict[int, dict[int, str]], *, erase: bool, data: st.DataObject
) -> None:
    await rebuilt.clear()
    published = messages_of(of_hours(usd))
    arrived = data.draw(st.permutations(published))
    cut = data.draw(st.integers(0, len(published)))
    await rebuilt.live.receive(*arrived[:cut])
    if erase:
        await rebuilt.live.add(TEAM, **ERASED)
    await rebuilt.live.receive(*arrived[cut:])

    await rebuilt.differences()  # takes over who was erased
    await rebuilt.receive(*published)

    found = {one.of_table for one in await rebuilt.differences()}
    assert found.isdisjoint({"days", "integrations", "erased"})


@FEW
@given(usd=HISTORIES, first=st.integers(0, 6))
async def test_what_the_topic_no_longer_contains_is_copied_with_its_history(
    rebuilt: Rebuilt, usd: dict[int, dict[int, str]], first: int
) -> None:
    await rebuilt.clear()
    readings = of_hours(usd)
    for one in readings:
        await rebuilt.live.receive(*messages_of([one]))
    for one in readings:
        if one.observed_at >= later(first):
            await rebuilt.receive(*messages_of([one]))

    assert await rebuilt.differences({TEAM: later(first)}) == []
    async with rebuilt.database.transaction() as connection:
        for table in ("days", "day_revisions", "outcomes"):
            rows = await connection.execute(text(f"(TABLE ledger.{table} EXCEPT TABLE {table})"))
            assert rows.all() == [], table


async def test_a_topic_that_holds_nothing_copies_everything(rebuilt: Rebuilt) -> None:
    await rebuilt.live.receive(*messages_of(of_hours({0: {0: "1"}, 1: {0: "2", 1: "3"}})))

    assert await rebuilt.differences({TEAM: None}) == []


async def test_a_wrong_row_that_the_topic_contradicts_is_found_and_not_copied(rebuilt: Rebuilt) -> None:
    published = messages_of(of_hours({0: {0: "1", 1: "1"}}))
    await rebuilt.live.receive(*published)
    await rebuilt.receive(*published)
    await rebuilt.live.sql("UPDATE days SET usd = 5 WHERE day = :day", day=FIRST)
    await rebuilt.live.sql("DELETE FROM days WHERE day > :day", day=FIRST)

    found = [one for one in await rebuilt.differences({TEAM: later(0)}) if one.of_table == "days"]

    assert [(one.kind, one.count) for one in found] == [("different", 1), ("only rebuilt", 1)]


@pytest.mark.parametrize(
    ("change", "columns"),
    [
        ("usd = 5", "usd"),
        ("amounts = '{5}'", "costs"),
        ("usd = 5, reading_id = gen_random_uuid()", "usd, reading_id"),
    ],
)
async def test_a_difference_names_its_columns(rebuilt: Rebuilt, change: str, columns: str) -> None:
    published = messages_of(of_hours({0: {0: "1"}}))
    await rebuilt.live.receive(*published)
    await rebuilt.receive(*published)
    await rebuilt.live.sql(f"UPDATE days SET {change}")  # noqa: S608 - one of the parameters
    await rebuilt.live.sql("DELETE FROM day_revisions")

    async with rebuilt.database.transaction() as connection:
        await rebuild_diff.find(connection)
        found = (await rebuild_diff.comparison(connection)).samples

    assert [(one.of_table, one.kind, one.columns) for one in found] == [("days", "different", columns)]


async def test_a_field_beside_the_amounts_is_no_difference(rebuilt: Rebuilt) -> None:
    published = messages_of(of_hours({0: {0: "1"}, 1: {0: "7"}}))
    await rebuilt.live.receive(*published)
    await rebuilt.receive(*published)
    another = uuid4()
    await rebuilt.live.sql(
        """INSERT INTO label_lists SELECT :another, labels || '[{"label": "b", "model": "b"}]'
           FROM days JOIN label_lists USING (labels_id)""",
        another=another,
    )
    for table in ("days", "day_revisions"):
        await rebuilt.live.sql(f"UPDATE {table} SET labels_id = :another, amounts = amounts || 0.0", another=another)  # noqa: S608 - a constant

    assert await rebuilt.differences({TEAM: later(0)}) == []


async def test_a_list_that_is_erased_while_days_are_copied_is_copied_with_its_day(
    rebuilt: Rebuilt, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, copied = uuid4(), rebuild_tables._rows  # noqa: SLF001 - there is no other place between the two statements
    for one in (TEAM, other):
        await rebuilt.live.receive(*reading_of(one, {FIRST: {"a": "1", "b": "0"}}, observed_at=later(0)).days)

    async def rows(connection: AsyncConnection, statement: str) -> int:
        found = await copied(connection, statement)
        if statement == rebuild_tables._DAYS:  # noqa: SLF001 - as above
            await rebuilt.live.receive(*reading_of(TEAM, {FIRST: {"a": "1"}}, observed_at=later(2)).days)
            await rebuilt.live.add(other, **ERASED)
        return found

    monkeypatch.setattr(rebuild_tables, "_rows", rows)
    async with rebuilt.database.transaction() as connection:
        await rebuild_tables.take_over(connection, {TEAM: later(1), other: later(1)})
        kept = await connection.execute(text("SELECT costs_of(labels_id, amounts) IS NOT NULL FROM days"))
        assert set(kept.scalars()) == {True}


async def test_what_was_erased_leaves_its_labels_in_no_rebuilt_table(rebuilt: Rebuilt) -> None:
    published = reading_of(TEAM, {FIRST: {"own-model": "1"}}).days
    await rebuilt.live.receive(*published)
    await rebuilt.live.add(TEAM, **ERASED)

    async with rebuilt.database.transaction() as connection:
        await rebuild_tables.take_over_erased(connection)
    await rebuilt.receive(*published)

    assert await rebuilt.differences() == []
    async with rebuilt.database.transaction() as connection:
        assert (await connection.execute(text("SELECT labels FROM label_lists"))).all() == []


async def test_a_difference_that_was_only_on_its_way_is_none(rebuilt: Rebuilt) -> None:
    published = messages_of(of_hours({0: {0: "1"}, 1: {1: "2"}}))
    await rebuilt.receive(*published[:2])

    async with rebuilt.database.transaction() as connection:
        assert await rebuild_diff.find(connection) == 2
        await rebuilt.live.receive(*published[:2])
        await rebuilt.live.receive(*published[2:])
        await rebuild_diff.find_again(connection)
        assert await rebuild_diff.counts(connection) == []


@pytest.mark.parametrize("older", [True, False])
async def test_a_swap_that_would_lose_a_day_is_refused(rebuilt: Rebuilt, *, older: bool) -> None:
    readings = of_hours({0: {0: "1"}, 1: {0: "2"}})
    await rebuilt.live.receive(*messages_of(readings))
    if older:
        await rebuilt.receive(*messages_of(readings[:1]))

    with pytest.raises(RebuildError, match="1 days would be lost or older"):
        await rebuilt.swap()

    assert [row.usd for row in await rebuilt.live.figures()] == [2]


async def test_a_day_that_was_erased_is_not_missing(rebuilt: Rebuilt) -> None:
    published = messages_of(of_hours({0: {0: "1"}}))
    await rebuilt.receive(*published)
    await rebuilt.live.receive(*published)
    await rebuilt.live.add(TEAM, **ERASED)
    await rebuilt.differences()

    await rebuilt.swap()
    await rebuilt.live.receive(*published)

    assert await rebuilt.live.figures() == []


async def test_what_is_written_while_the_tables_are_swapped_is_not_lost(rebuilt: Rebuilt) -> None:
    topic: list[Message] = []
    swapped, first = asyncio.Event(), asyncio.Event()

    async def live(team: UUID) -> None:
        """A ledger at work: what it handles is on the topic before."""
        added = 0
        for hour in range(1_000):
            published = messages_of(
                [reading_of(team, {FIRST + timedelta(days=hour): {"a": "1"}}, observed_at=later(hour))]
            )
            topic.extend(published)
            await rebuilt.live.receive(*published)
            await rebuilt.live.add(team, version=hour + 1)
            added += swapped.is_set()
            first.set()
            if added == 10:
                return
        raise AssertionError("the swap never came")

    writers = [asyncio.create_task(live(uuid4())) for _ in range(4)]
    await first.wait()
    async with rebuilt.database.transaction() as connection:
        await rebuild_swap.stop_writes(connection)
        read = len(topic)
        await rebuilt.through(TransactionView(connection)).costs([event_of(one) for one in topic[:read]])
        held = {row.integration_id for row in await connection.execute(text("SELECT integration_id FROM ledger.days"))}
        await rebuild_tables.take_over(connection, NOTHING_IS_COPIED)
        kept_as = await rebuild_swap.exchange(connection, datetime.now(UTC))
    swapped.set()
    await asyncio.wait_for(asyncio.gather(*writers), 30)

    assert held
    written = {(one.integration_id, one.day) for one in topic if isinstance(one, CostRecorded)}
    assert {(row.integration_id, row.day) for row in await rebuilt.live.figures()} == written
    assert len(await rebuilt.live.sql("SELECT 1 FROM outcomes WHERE reconciled")) == len(written)
    assert rebuilt.live.dead_letters.entries == []
    newest = await rebuilt.live.sql("SELECT integration_id, version FROM integrations")
    assert {row.integration_id: row.version for row in newest} == {
        team: sum(one == team for one, _ in written) for team in {team for team, _ in written}
    }
    assert len(await rebuilt.live.sql(f"SELECT 1 FROM {kept_as}.days")) <= read  # noqa: S608 - a name that the swap made


async def test_after_a_swap_everything_that_the_ledger_may_do_still_works(rebuilt: Rebuilt) -> None:
    await rebuilt.live.sql("CREATE ROLE reader")
    await rebuilt.live.sql("GRANT USAGE ON SCHEMA ledger TO reader")
    await rebuilt.live.sql("GRANT SELECT ON daily_costs TO reader")
    try:
        kept_as = await rebuilt.swap()

        await rebuilt.live.receive(*messages_of(of_hours({0: {0: "1"}, 1: {0: "2"}})))
        assert len(await rebuilt.live.revisions()) == 1
        await _may_not_make_up_a_revision(rebuilt)
        assert (await rebuilt.live.sql("SELECT usd FROM daily_costs")) == [(2,)]
        granted = "SELECT has_table_privilege('reader', 'ledger.daily_costs', 'SELECT') AS may"
        assert (await rebuilt.live.sql(granted))[0].may
        late = f"SELECT has_table_privilege('ledger', '{kept_as}.days', 'INSERT') AS may"
        assert not (await rebuilt.live.sql(late))[0].may
        await rebuilt.live.add(TEAM, **ERASED)
        assert await rebuilt.live.figures() == []
    finally:
        for schema in await rebuilt.live.sql("SELECT nspname FROM pg_namespace WHERE nspname ~ '^ledger'"):
            await rebuilt.live.sql(f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema.nspname} FROM reader")
            await rebuilt.live.sql(f"REVOKE ALL ON SCHEMA {schema.nspname} FROM reader")
        await rebuilt.live.sql("DROP ROLE reader")


async def _may_not_make_up_a_revision(rebuilt: Rebuilt) -> None:
    with pytest.raises(ProgrammingError, match="permission denied for table day_revisions"):
        async with rebuilt.live.database.transaction() as connection:
            await connection.execute(text("INSERT INTO day_revisions TABLE day_revisions"))


async def test_an_announced_outcome_stays_word_for_word_and_another_judgement_gets_its_own_number(
    rebuilt: Rebuilt,
) -> None:
    whole, broken = of_hours({0: {0: "1"}, 1: {1: "1"}})
    await rebuilt.live.receive(*messages_of([whole]), broken.window)
    await rebuilt.live.sql("UPDATE outcomes SET outcome = outcome || ' ', event_id = 'later' WHERE reconciled")
    expected = await rebuilt.live.sql("SELECT * FROM outcomes WHERE reconciled")
    await rebuilt.receive(*messages_of([whole, broken]))

    await rebuilt.differences()
    await rebuilt.swap()

    assert await rebuilt.live.sql("SELECT * FROM outcomes WHERE event_id = 'later'") == expected
    (row,) = await rebuilt.live.sql("SELECT event_id, judgements FROM outcomes WHERE event_id <> 'later'")
    assert row == (f"{broken.reading_id}:completed:2", 2)


async def test_one_rebuild_at_a_time(rebuilt: Rebuilt) -> None:
    async with rebuilt.database.transaction() as one, rebuilt.database.transaction() as other:
        await rebuild_tables.acquire_rebuild_lock(one)
        with pytest.raises(RebuildError, match="another rebuild"):
            await rebuild_tables.acquire_rebuild_lock(other)
        await one.execute(text("SELECT pg_advisory_unlock_all()"))


@pytest.mark.parametrize(
    "name", ["ledger", "public", "connector", "ledger_before_x; DROP SCHEMA ledger", "ledger_before_"]
)
async def test_only_what_a_rebuild_left_can_be_dropped(rebuilt: Rebuilt, name: str) -> None:
    async with rebuilt.database.transaction() as connection:
        with pytest.raises(UsageError, match="can be dropped"):
            await rebuild_tables.drop(connection, name)


async def test_tables_of_another_version_are_not_compared(rebuilt: Rebuilt) -> None:
    async with rebuilt.database.transaction() as connection:
        await rebuild_tables.check_versions(connection)
        await connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
        with pytest.raises(RebuildError, match="grafient migrate"):
            await rebuild_tables.check_versions(connection)
        await connection.rollback()


async def test_an_outcome_keeps_the_instant_at_which_it_was_stored(rebuilt: Rebuilt) -> None:
    (reading,) = of_hours({0: {0: "1"}})
    await rebuilt.live.receive(*reading.messages)
    await rebuilt.receive(*reading.messages)

    await rebuilt.differences()

    (pair,) = await rebuilt.live.sql("SELECT l.stored_at, r.stored_at FROM outcomes l, ledger_rebuilt.outcomes r")
    assert pair[0] == pair[1] is not None
