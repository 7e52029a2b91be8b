"""Missed days are queued without anybody asking."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from common.metrics import LATE, UNRECONCILED
from common.watchdog import Watchdog
from contract.problems import Code
from prometheus_client import Gauge
from syncer.domain import Days
from syncer.healer import Healer
from syncer.provider import ReadRefusedError, ReadTransientError

from tests.support.waiting import until
from tests.syncer.support.syncer import SyncerHarness


async def test_a_missed_day_is_read_without_anyone_asking(syncer: SyncerHarness) -> None:
    integration_id, day = await _missing_day(syncer)

    await syncer.healer.round()
    await syncer.settle()

    (window,) = syncer.readings()
    assert (window.first_day, window.last_day) == (day.first, day.last)
    (request_id,) = window.request_ids
    assert request_id.startswith(f"heal:{integration_id}:{day.first}:{day.last}:1:")


async def test_a_round_that_comes_too_early_queues_nothing_more(syncer: SyncerHarness) -> None:
    await _missing_day(syncer)
    for _ in range(3):
        await syncer.healer.round()
        await syncer.settle()

    assert len(syncer.xai.calls) == 1


async def test_a_day_that_was_not_confirmed_is_tried_again_under_the_next_number(syncer: SyncerHarness) -> None:
    integration_id, day = await _missing_day(syncer)
    for _ in range(2):
        await syncer.healer.round()
        await syncer.settle()
        await syncer.sql("UPDATE coverage SET heal_after = NULL, published_at = published_at - interval '7 hours'")

    for attempt, window in enumerate(syncer.readings(), start=1):
        assert window.request_ids[0].startswith(f"heal:{integration_id}:{day.first}:{day.last}:{attempt}:")
    assert len(syncer.readings()) == 2


async def test_a_day_that_is_missed_once_more_is_read_as_soon_as_the_first_time(syncer: SyncerHarness) -> None:
    await _missing_day(syncer)
    for _ in range(2):
        await syncer.healer.round()
        await syncer.settle()
        await syncer.sql("UPDATE coverage SET heals = 0, heal_after = NULL, published_at = NULL")

    assert len(syncer.readings()) == 2


async def test_all_integrations_are_looked_at_however_many_there_are(
    syncer: SyncerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.store.PORTION", 2)
    ids = {(await _missing_day(syncer))[0] for _ in range(5)}

    await syncer.healer.round()
    await syncer.settle()

    assert {reading.integration_id for reading in syncer.readings()} == ids


async def test_a_look_measures_how_late_and_how_wrong_the_whole_fleet_is(
    syncer: SyncerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.store.PORTION", 2)
    for _ in range(3):
        await _missing_day(syncer)
    await syncer.sql("UPDATE integrations SET added_at = '-infinity'")
    await syncer.sql(
        "UPDATE coverage SET unreconciled_at = confirmed_at + interval '1 hour' WHERE day < :t", t=await syncer.today()
    )

    await syncer.healer.round()

    assert 86_400 <= _value(LATE) < 2 * 86_400
    assert _value(UNRECONCILED) == 3


async def test_a_look_that_takes_long_is_followed_by_a_longer_rest(syncer: SyncerHarness) -> None:
    seconds = iter([1000.0, 1000.0, 1010.0, 1010.0, 1130.0, 1160.0, 1160.0, 1160.1, 1160.1])
    healer = Healer(syncer.database, Watchdog(), every=60, wake_worker=syncer.wake, clock=lambda: next(seconds))
    await healer.round()  # takes 10 s: the next look is 200 s after its end
    await _missing_day(syncer)

    await healer.round()
    assert await syncer.windows() == []
    await healer.round()
    assert len(await syncer.windows()) == 1


async def test_two_healers_at_once_read_a_day_once(syncer: SyncerHarness) -> None:
    await _missing_day(syncer)
    await asyncio.gather(*(syncer.healer.round() for _ in range(5)))
    await syncer.settle()

    assert len(await syncer.requests()) == len(syncer.readings()) == 1


async def test_a_window_that_waits_for_its_next_attempt_is_not_healed_beside_it(syncer: SyncerHarness) -> None:
    await _missing_day(syncer)
    syncer.xai.answers.append(ReadTransientError(Code.XAI_UNAVAILABLE))
    for _ in range(2):
        await syncer.healer.round()
        await syncer.settle()
        await syncer.sql("UPDATE coverage SET heal_after = NULL")
        await syncer.sql("UPDATE windows SET due_at = clock_timestamp() + interval '1 hour'")

    assert len(await syncer.windows()) == 1


async def test_a_request_that_crossed_with_its_integration_is_placed(syncer: SyncerHarness) -> None:
    integration_id = uuid4()
    request_id = await syncer.ask(integration_id)
    await syncer.announce(await syncer.state(integration_id))
    await syncer.sql("UPDATE requests SET window_id = NULL WHERE request_id = :id", id=request_id)

    await syncer.healer.round()
    await syncer.request_ends.round()

    assert syncer.failures() == []
    assert request_id in await _placed(syncer)


async def test_one_step_that_fails_does_not_stop_the_others(
    syncer: SyncerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    integration_id = uuid4()
    request_id = await syncer.ask(integration_id)
    await syncer.announce(await syncer.state(integration_id))
    await syncer.sql("UPDATE requests SET window_id = NULL WHERE request_id = :id", id=request_id)
    monkeypatch.setattr("syncer.coverage.look", None)

    await syncer.healer.round()

    assert request_id in await _placed(syncer)


async def test_a_new_key_has_what_was_missed_under_the_former_one_read_at_once(syncer: SyncerHarness) -> None:
    today = await syncer.today()
    integration_id = uuid4()
    await syncer.announce(await syncer.state(integration_id))
    await syncer.seal(integration_id)
    syncer.xai.answers.append(ReadRefusedError(Code.KEY_REFUSED))
    await syncer.settle()
    healing = asyncio.create_task(syncer.healer.run())
    try:
        await syncer.announce(await syncer.state(integration_id, version=2, credential_version=2))
        await syncer.seal(integration_id, version=2)

        async with syncer.working():
            oldest = today - timedelta(days=89)
            await until(lambda: any(oldest in window.totals for window in syncer.readings()))
    finally:
        healing.cancel()
        await asyncio.gather(healing, return_exceptions=True)


def _value(metric: Gauge) -> float:
    value: float = metric._value.get()  # noqa: SLF001 - the client has no other way to read it
    return value


async def _missing_day(syncer: SyncerHarness) -> tuple[UUID, Days]:
    """An integration that should have the day before yesterday, which is over whatever the hour."""
    integration_id, today = await syncer.integration(), await syncer.today()
    day = today - timedelta(days=2)
    await syncer.sql("UPDATE integrations SET history_from = :day", day=day)
    read = """INSERT INTO coverage (integration_id, day, confirmed_at)
              SELECT :id, d::date, clock_timestamp() FROM generate_series(CAST(:first AS timestamp), :last, '1 day') d"""
    await syncer.sql(read, id=integration_id, first=day + timedelta(days=1), last=today + timedelta(days=1))
    await syncer.sql("UPDATE coverage SET confirmed_at = confirmed_at + interval '2 days'")
    return integration_id, Days(day, day)


async def _placed(syncer: SyncerHarness) -> set[str]:
    rows = await syncer.sql("SELECT request_id FROM requests JOIN windows USING (window_id)")
    return {row.request_id for row in rows}
