"""Many windows, many workers: how many are read at a time, and which are released."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest
from contract.fields import Trigger
from syncer import windows
from syncer.domain import Days

from tests.support.waiting import until
from tests.syncer.support.syncer import SyncerHarness


async def test_a_stopped_worker_releases_its_window_at_once(syncer: SyncerHarness) -> None:
    await syncer.ask(await syncer.integration())
    syncer.xai.meanwhile = asyncio.Event().wait
    async with syncer.working():
        await until(lambda: syncer.xai.in_flight)
    syncer.xai.meanwhile = None

    await syncer.settle()

    assert len(syncer.readings()) == 1


async def test_a_window_is_read_though_an_attempt_hangs(syncer: SyncerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncer.attempt.ATTEMPT_DEADLINE", 0.5)
    monkeypatch.setattr("syncer.leases.LEASE", timedelta(seconds=0.1))
    await syncer.ask(await syncer.integration())

    async def hang() -> None:
        syncer.xai.meanwhile = None
        await asyncio.Event().wait()

    syncer.xai.meanwhile = hang
    async with syncer.working():
        await until(lambda: len(syncer.readings()) == 1)

    assert len(syncer.xai.calls) > 1


async def test_one_window_of_an_integration_is_read_at_a_time(syncer: SyncerHarness) -> None:
    integrations, today = [await syncer.integration() for _ in range(5)], await syncer.today()
    asked = [
        (one, Days(today - timedelta(days=n), today - timedelta(days=n))) for one in integrations for n in range(8)
    ]
    random.Random(7).shuffle(asked)
    triggers = list(Trigger)
    for number, (integration_id, days) in enumerate(asked):
        await syncer.ask(integration_id, triggers[number % len(triggers)], days)

    await syncer.settle(workers=3, in_flight=4)

    assert syncer.xai.overlaps == 0
    assert syncer.xai.most_at_once > 1
    outcomes: list[Any] = [*syncer.readings(), *syncer.failures()]
    answered = sorted(request_id for one in outcomes for request_id in one.request_ids)
    assert answered == sorted(one.request_id for one in await syncer.requests())


async def test_one_window_of_a_team_is_read_at_a_time_however_many_connected_it(syncer: SyncerHarness) -> None:
    for _ in range(3):
        await syncer.ask(await syncer.integration(team_id="slow"), Trigger.FORCE)
    other = await syncer.integration()
    await syncer.ask(other, Trigger.BACKFILL)

    resume = asyncio.Event()
    syncer.xai.meanwhile = resume.wait
    async with syncer.working(in_flight=4):
        await until(lambda: other in syncer.xai.in_flight)
        assert len(syncer.xai.in_flight) == 2
        resume.set()
        await until(lambda: len(syncer.readings()) == 4)


async def test_a_worker_reads_at_most_in_flight_windows_at_a_time(syncer: SyncerHarness) -> None:
    for _ in range(9):
        await syncer.ask(await syncer.integration())

    resume = asyncio.Event()
    syncer.xai.meanwhile = resume.wait
    async with syncer.working(in_flight=3):
        await until(lambda: len(syncer.xai.in_flight) == 3)
        resume.set()
        await until(lambda: len(syncer.readings()) == 9)

    assert syncer.xai.most_at_once == 3
    assert len(syncer.xai.calls) == 9


async def test_the_next_window_is_read_while_the_one_before_is_stored(
    syncer: SyncerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        await syncer.ask(await syncer.integration())

    resume, close = asyncio.Event(), windows.close

    async def close_late(*args: Any, **options: Any) -> None:
        await resume.wait()
        await close(*args, **options)

    monkeypatch.setattr(windows, "close", close_late)
    async with syncer.working(in_flight=1):
        await until(lambda: len(syncer.xai.calls) == 2)
        resume.set()
        await until(lambda: len(syncer.readings()) == 2)

    assert syncer.xai.most_at_once == 1


async def test_a_window_that_gets_no_turn_is_left_to_a_process_that_has_one(
    syncer: SyncerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.attempt.TURN_DEADLINE", 0.05)
    for _ in range(2):
        await syncer.ask(await syncer.integration())
    resume = asyncio.Event()
    syncer.xai.meanwhile = resume.wait

    async with syncer.working(workers=2, in_flight=1):
        await until(lambda: len(syncer.xai.in_flight) == 2)
        resume.set()
        await until(lambda: len(syncer.readings()) == 2)

    assert len(syncer.xai.calls) == 2
