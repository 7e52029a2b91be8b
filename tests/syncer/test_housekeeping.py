"""Rows expire, windows without a key are counted, and each job is a loop."""

import asyncio
from uuid import UUID

import pytest
from common.metrics import BACKLOG_AGE, CREDENTIALS_UNAVAILABLE, WAITING_FOR_KEY
from common.watchdog import Watchdog
from contract.problems import Code
from sqlalchemy import text
from syncer import housekeeping
from syncer.housekeeping import Housekeeping
from syncer.provider import ReadTransientError

from tests.support.waiting import until
from tests.syncer.support.syncer import SyncerHarness


async def test_windows_that_wait_long_for_their_key_are_counted(syncer: SyncerHarness) -> None:
    await _overdue(syncer)
    await syncer.housekeeping.count_waiting_for_key()
    assert _counted() == 1

    await syncer.sql("UPDATE windows SET due_at = due_at + interval '2 minutes'")
    await syncer.housekeeping.count_waiting_for_key()
    assert _counted() == 0


async def test_the_queue_is_as_old_as_the_window_that_has_been_due_for_longest(syncer: SyncerHarness) -> None:
    await _overdue(syncer)
    await syncer.housekeeping.measure_backlog()
    assert 660 <= _backlog() < 700

    await syncer.sql("UPDATE integrations SET retry_after = now() + interval '1 hour'")
    await syncer.housekeeping.measure_backlog()
    assert _backlog() == 0


async def test_integrations_with_a_key_that_does_not_open_are_counted_until_it_does(syncer: SyncerHarness) -> None:
    await syncer.ask(await syncer.integration())
    syncer.xai.answers.append(ReadTransientError(Code.KEY_UNAVAILABLE))
    await syncer.settle()
    await syncer.housekeeping.count_unopened()
    assert CREDENTIALS_UNAVAILABLE._value.get() == 1  # noqa: SLF001 - the client has no other way to read it

    await syncer.make_all_due()
    await syncer.settle()
    await syncer.housekeeping.count_unopened()
    assert CREDENTIALS_UNAVAILABLE._value.get() == 0  # noqa: SLF001 - as above


async def test_old_days_expire_however_many_integrations_there_are(
    syncer: SyncerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.store.PORTION", 2)
    for _ in range(5):
        await syncer.ask(await syncer.integration())
    await syncer.settle()
    await syncer.sql("UPDATE coverage SET day = day - 201")

    await syncer.housekeeping.delete_expired()

    assert await syncer.sql("SELECT 1 FROM coverage") == []
    assert await syncer.sql("SELECT 1 FROM known_days") != []


async def test_closed_windows_their_requests_and_answers_expire_and_open_windows_stay(syncer: SyncerHarness) -> None:
    done, waiting = await syncer.integration(), await syncer.integration()
    await syncer.ask(done)
    await syncer.settle()
    await syncer.sql("DELETE FROM credentials")
    await syncer.ask(waiting)
    await syncer.sql("UPDATE windows SET closed_at = closed_at - interval '30 days'")
    await syncer.sql("UPDATE requests SET received_at = received_at - interval '30 days'")
    await syncer.sql("UPDATE raw_answers SET observed_at = observed_at - interval '90 days'")
    await syncer.sql("UPDATE coverage SET day = day - 201")
    await syncer.sql("UPDATE known_days SET day = day - 91")

    await syncer.housekeeping.delete_expired()

    assert {one.integration_id for one in await syncer.windows()} == {waiting}
    assert {one.integration_id for one in await syncer.requests()} == {waiting}
    assert (
        await syncer.sql("SELECT 1 FROM raw_answers UNION SELECT 1 FROM coverage UNION SELECT 1 FROM known_days") == []
    )


async def test_requests_that_never_found_their_integration_expire_and_pending_ones_stay(syncer: SyncerHarness) -> None:
    for status in ("accepted", "not_found", "not_found_published"):
        await syncer.ask(UUID(int=7), request_id=status)
        await syncer.sql("UPDATE requests SET status = request_id, received_at = now() - interval '31 days'")

    await syncer.housekeeping.delete_expired()

    assert [one.request_id for one in await syncer.requests()] == ["accepted"]


async def test_each_job_is_a_watched_loop_and_none_stops_another(
    syncer: SyncerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _overdue(syncer)
    WAITING_FOR_KEY.set(0)
    monkeypatch.setattr(Housekeeping, "delete_expired", _fail)
    watchdog = Watchdog()
    housekeeping = Housekeeping(syncer.database, watchdog, every=60)
    tasks = [asyncio.create_task(loop.run()) for loop in housekeeping.loops]

    await until(lambda: _counted() == 1)

    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    limits = watchdog._limits  # noqa: SLF001 - as the watchdog reports
    counts = {"waiting_count", "questions_count", "unopened_count"}
    assert set(limits) == {"clock_repair", *counts, "backlog", "retention"}


async def _fail(_: Housekeeping) -> None:
    raise LookupError


async def _overdue(syncer: SyncerHarness) -> None:
    await syncer.ask(await syncer.integration())
    await syncer.sql("DELETE FROM credentials")
    await syncer.sql("UPDATE windows SET due_at = due_at - interval '11 minutes'")


def _backlog() -> float:
    age: float = BACKLOG_AGE.labels("windows")._value.get()  # noqa: SLF001 - the client has no other way to read it
    return age


def _counted() -> float:
    counted: float = WAITING_FOR_KEY._value.get()  # noqa: SLF001 - the client has no other way to read it
    return counted


@pytest.mark.parametrize(
    ("table", "index"),
    [("windows", "windows_by_age"), ("requests", "requests_by_age"), ("raw_answers", "raw_answers_by_age")],
)
async def test_what_has_expired_is_found_by_its_age(syncer: SyncerHarness, table: str, index: str) -> None:
    """Otherwise every look would read all rows."""
    (statement,) = (one for one in housekeeping._DELETE_EXPIRED if one.text.split()[2] == table)  # noqa: SLF001 - its own statements

    async with syncer.database.transaction() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        keep = {"keep": housekeeping.KEEP_WINDOWS}
        plan = str((await connection.execute(text(f"EXPLAIN (FORMAT JSON) {statement.text}"), keep)).scalar_one())

    assert index in plan
    assert "Index Cond" in plan or "Recheck Cond" in plan
