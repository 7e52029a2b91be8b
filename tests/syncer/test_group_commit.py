"""Statements that wait at the same time are one transaction, and none pays for another's fault."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from syncer.group_commit import AT_ONCE, GroupCommit

from tests.syncer.support.syncer import SyncerHarness

ADD = """INSERT INTO known_days (integration_id, day, ticks)
    SELECT %(id)s, date '2026-01-01' + number, '{}' FROM generate_series(1, %(days)s) number"""
SLEEP = "SELECT pg_sleep(10) WHERE %(id)s IS NOT NULL"
FAIL = "INSERT INTO known_days (integration_id, day, ticks) VALUES (%(id)s, NULL, '{}')"


async def _added(syncer: SyncerHarness) -> dict[UUID, Any]:
    """The transaction that added the days of each integration."""
    rows = await syncer.sql("SELECT integration_id, max(xmin::text) AS added_by FROM known_days GROUP BY 1")
    return {row.integration_id: row.added_by for row in rows}


async def test_statements_that_wait_together_are_one_transaction_and_each_learns_what_it_changed(
    syncer: SyncerHarness,
) -> None:
    group, ids = GroupCommit(syncer.database), [uuid4() for _ in range(5)]

    rows = await asyncio.gather(*(group.execute(one, ADD, {"id": one, "days": n}) for n, one in enumerate(ids)))

    assert rows == [0, 1, 2, 3, 4]
    added = await _added(syncer)
    assert added.keys() == set(ids[1:])
    assert len(set(added.values())) == 1


async def test_many_statements_are_several_transactions(syncer: SyncerHarness) -> None:
    group, ids = GroupCommit(syncer.database), [uuid4() for _ in range(AT_ONCE + 1)]

    await asyncio.gather(*(group.execute(one, ADD, {"id": one, "days": 1}) for one in ids))

    assert len(set((await _added(syncer)).values())) == 2


async def test_while_several_come_those_of_a_while_are_one_transaction(syncer: SyncerHarness) -> None:
    group, ids = GroupCommit(syncer.database, rest=0.5), [uuid4() for _ in range(4)]
    await asyncio.gather(*(group.execute(one, ADD, {"id": one, "days": 1}) for one in ids[:2]))

    early = asyncio.create_task(group.execute(ids[2], ADD, {"id": ids[2], "days": 1}))
    for _ in range(10):
        await asyncio.sleep(0)  # without a rest it would have begun
    await asyncio.gather(early, group.execute(ids[3], ADD, {"id": ids[3], "days": 1}))

    added = await _added(syncer)
    assert added[ids[0]] == added[ids[1]] != added[ids[2]] == added[ids[3]]


async def test_who_comes_alone_waits_for_nobody(syncer: SyncerHarness) -> None:
    group, ids = GroupCommit(syncer.database, rest=3600.0), [uuid4() for _ in range(3)]

    async with asyncio.timeout(10):
        for one in ids:
            assert await group.execute(one, ADD, {"id": one, "days": 1}) == 1


async def test_a_statement_that_fails_takes_no_other_with_it(syncer: SyncerHarness) -> None:
    group, good, bad, late = GroupCommit(syncer.database), uuid4(), uuid4(), uuid4()

    results = await asyncio.gather(
        group.execute(good, ADD, {"id": good, "days": 1}),
        group.execute(bad, FAIL, {"id": bad}),
        group.execute(late, ADD, {"id": late, "days": object()}),
        return_exceptions=True,
    )

    assert results[0] == 1
    assert isinstance(results[1], psycopg.IntegrityError)
    assert isinstance(results[2], psycopg.ProgrammingError)
    assert (await _added(syncer)).keys() == {good}
    assert await group.execute(late, ADD, {"id": late, "days": 1}) == 1


async def test_whoever_stops_waiting_stops_nobody_else(syncer: SyncerHarness) -> None:
    group, gone, stays = GroupCommit(syncer.database), uuid4(), uuid4()
    leaving = asyncio.create_task(group.execute(gone, ADD, {"id": gone, "days": 1}))
    staying = asyncio.create_task(group.execute(stays, ADD, {"id": stays, "days": 1}))
    await asyncio.sleep(0)  # both wait

    leaving.cancel()

    assert await staying == 1
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_task_that_is_ended_leaves_nobody_waiting(syncer: SyncerHarness) -> None:
    group, one, before = GroupCommit(syncer.database), uuid4(), asyncio.all_tasks()
    waiting = asyncio.create_task(group.execute(one, SLEEP, {"id": one}))
    while not (executing := asyncio.all_tasks() - before - {waiting}):
        await asyncio.sleep(0)
    await asyncio.sleep(0)  # it has begun
    executing.pop().cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await group.execute(one, ADD, {"id": one, "days": 1}) == 1
