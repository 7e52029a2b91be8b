"""Statements that wait at the same time are one transaction, and none pays for another's fault."""

import asyncio
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
from syncer.group_commit import AT_ONCE, GroupCommit

from tests.support.waiting import others_have_run
from tests.syncer.support.syncer import SyncerHarness

ADD = """WITH added AS (INSERT INTO known_days (integration_id, day, ticks)
        SELECT id, date '2026-01-01' + number, '{}'
        FROM unnest(%(id)b::uuid[], %(days)b::integer[]) new(id, days), generate_series(1, days) number
        RETURNING integration_id)
    SELECT DISTINCT integration_id AS lease FROM added"""
SLEEP = "SELECT pg_sleep(10), %(id)b::uuid[] AS lease"
FAIL = "INSERT INTO known_days (integration_id, day, ticks) SELECT unnest(%(id)b::uuid[]), NULL, '{}'"


async def _execute(
    group: GroupCommit, one: UUID, statement: LiteralString, *, is_urgent: bool = True, **values: object
) -> bool:
    return await group.execute(one, one, statement, {"id": one} | values, is_urgent=is_urgent)


async def _added(syncer: SyncerHarness) -> dict[UUID, Any]:
    """The transaction that added the days of each integration."""
    rows = await syncer.sql("SELECT integration_id, max(xmin::text) AS added_by FROM known_days GROUP BY 1")
    return {row.integration_id: row.added_by for row in rows}


async def test_statements_that_wait_together_are_one_transaction_and_each_learns_what_it_changed(
    syncer: SyncerHarness,
) -> None:
    group, ids = GroupCommit(syncer.database), [uuid4() for _ in range(5)]

    changed = await asyncio.gather(*(_execute(group, one, ADD, days=n) for n, one in enumerate(ids)))

    assert changed == [False, True, True, True, True]
    added = await _added(syncer)
    assert added.keys() == set(ids[1:])
    assert len(set(added.values())) == 1


async def test_many_statements_are_several_transactions(syncer: SyncerHarness) -> None:
    group, ids = GroupCommit(syncer.database), [uuid4() for _ in range(AT_ONCE + 1)]

    await asyncio.gather(*(_execute(group, one, ADD, days=1) for one in ids))

    assert len(set((await _added(syncer)).values())) == 2


async def test_while_several_come_those_of_a_while_are_one_transaction(syncer: SyncerHarness) -> None:
    group, ids = GroupCommit(syncer.database, rest=0.5), [uuid4() for _ in range(4)]
    await asyncio.gather(*(_execute(group, one, ADD, days=1) for one in ids[:2]))

    early = asyncio.create_task(_execute(group, ids[2], ADD, days=1))
    await others_have_run()  # without a rest it would have begun
    await asyncio.gather(early, _execute(group, ids[3], ADD, days=1))

    added = await _added(syncer)
    assert added[ids[0]] == added[ids[1]] != added[ids[2]] == added[ids[3]]


async def test_who_comes_alone_waits_for_nobody(syncer: SyncerHarness) -> None:
    group, ids = GroupCommit(syncer.database, rest=3600.0), [uuid4() for _ in range(3)]

    async with asyncio.timeout(10):
        for one in ids:
            assert await _execute(group, one, ADD, days=1)


async def test_a_statement_that_is_not_urgent_is_executed_with_the_next_one(syncer: SyncerHarness) -> None:
    group, ids = GroupCommit(syncer.database, rest=3600.0), [uuid4() for _ in range(3)]
    patient = asyncio.create_task(_execute(group, ids[0], ADD, days=1, is_urgent=False))
    await asyncio.sleep(0)  # it waits

    async with asyncio.timeout(10):
        await asyncio.gather(patient, _execute(group, ids[1], ADD, days=1))
        await _execute(group, ids[2], ADD, days=1)  # who comes alone waits for nobody, also after such a group

    added = await _added(syncer)
    assert added[ids[0]] == added[ids[1]] != added[ids[2]]


async def test_a_statement_that_is_not_urgent_waits_a_while_and_no_longer(syncer: SyncerHarness) -> None:
    group, first, second = GroupCommit(syncer.database, rest=0.3), uuid4(), uuid4()
    patient = asyncio.create_task(_execute(group, first, ADD, days=1, is_urgent=False))
    await asyncio.sleep(0)  # it waits
    late = asyncio.create_task(_execute(group, second, ADD, days=1, is_urgent=False))

    assert await patient
    assert await late
    assert len(set((await _added(syncer)).values())) == 1


async def test_a_statement_that_fails_takes_no_other_with_it(syncer: SyncerHarness) -> None:
    group, good, bad, late = GroupCommit(syncer.database), uuid4(), uuid4(), uuid4()

    results = await asyncio.gather(
        _execute(group, good, ADD, days=1),
        _execute(group, bad, FAIL),
        _execute(group, late, ADD, days=object()),
        return_exceptions=True,
    )

    assert results[0] is True
    assert isinstance(results[1], psycopg.IntegrityError)
    assert isinstance(results[2], psycopg.ProgrammingError)
    assert (await _added(syncer)).keys() == {good}
    assert await _execute(group, late, ADD, days=1)


async def test_whoever_stops_waiting_stops_nobody_else(syncer: SyncerHarness) -> None:
    group, gone, stays = GroupCommit(syncer.database), uuid4(), uuid4()
    leaving = asyncio.create_task(_execute(group, gone, ADD, days=1))
    staying = asyncio.create_task(_execute(group, stays, ADD, days=1))
    await asyncio.sleep(0)  # both wait

    leaving.cancel()

    assert await staying
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_task_that_is_ended_leaves_nobody_waiting(syncer: SyncerHarness) -> None:
    group, one, before = GroupCommit(syncer.database), uuid4(), asyncio.all_tasks()
    waiting = asyncio.create_task(_execute(group, one, SLEEP))
    while not (executing := asyncio.all_tasks() - before - {waiting}):
        await asyncio.sleep(0)
    await asyncio.sleep(0)  # it has begun
    executing.pop().cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await _execute(group, one, ADD, days=1)
