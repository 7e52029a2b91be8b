"""Once a week all that is readable is read again, whoever asks for something else."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from contract.fields import Trigger
from syncer.domain import Days

from tests.syncer.support.syncer import SyncerHarness

WEEK = timedelta(days=7)


async def test_all_readable_days_are_read_again_in_windows_of_30_days(syncer: SyncerHarness) -> None:
    integration_id = await _due(syncer)

    await syncer.healer.round()
    await syncer.settle()

    today = syncer.readings()[0].observed_at.date()
    read = [(one.first_day, one.last_day) for one in syncer.readings()]
    assert read == [(today - timedelta(days=before + 29), today - timedelta(days=before)) for before in (0, 30, 60)]
    assert {one.trigger for one in syncer.readings()} == {Trigger.SWEEP}
    assert (await syncer.row_of(integration_id)).sweep_at.date() == today + WEEK


async def test_a_sweep_begins_where_the_history_does(syncer: SyncerHarness) -> None:
    first = await syncer.today() - timedelta(days=40)
    await _due(syncer, history_from=first)

    await syncer.healer.round()

    assert min(one.first_day for one in await _sweeps(syncer)) == first


async def test_days_that_xai_refuses_are_not_swept(syncer: SyncerHarness) -> None:
    integration_id, until = await _due(syncer), await syncer.today() - timedelta(days=45)
    await syncer.sql(
        "UPDATE integrations SET beyond_xai_until = :day WHERE integration_id = :id", day=until, id=integration_id
    )

    await syncer.healer.round()

    assert min(one.first_day for one in await _sweeps(syncer)) == until + timedelta(days=1)


async def test_the_first_sweep_gets_a_date_within_a_week_and_then_every_week(syncer: SyncerHarness) -> None:
    integration_id = await _covered(syncer)
    await syncer.healer.round()
    assert await _sweeps(syncer) == []
    first = (await syncer.row_of(integration_id)).sweep_at
    assert timedelta(0) <= first.date() - await syncer.today() <= WEEK

    await _pass(syncer, WEEK)
    for _ in range(2):
        await syncer.healer.round()

    assert len(await _sweeps(syncer)) == 3


async def test_nothing_is_swept_of_a_team_that_is_refused_or_removed(syncer: SyncerHarness) -> None:
    refused, removed = await _due(syncer), await _due(syncer)
    await syncer.sql("UPDATE integrations SET refused_code = 'key_refused' WHERE integration_id = :id", id=refused)
    await syncer.remove(removed)

    await syncer.healer.round()

    assert await _sweeps(syncer) == []


async def test_whatever_else_is_due_is_read_before_a_sweep(syncer: SyncerHarness) -> None:
    integration_id = await _due(syncer)
    await syncer.healer.round()
    today = await syncer.today()
    await syncer.ask(integration_id, Trigger.BACKFILL, Days(today - timedelta(days=70), today - timedelta(days=50)))
    await syncer.settle()

    assert syncer.readings()[0].trigger is Trigger.BACKFILL


async def _covered(syncer: SyncerHarness, **fields: Any) -> UUID:
    """An integration that misses nothing."""
    integration_id, today = await syncer.integration(**fields), await syncer.today()
    read = """INSERT INTO coverage (integration_id, day, confirmed_at)
              SELECT :id, d::date, clock_timestamp() + interval '9 days'
              FROM generate_series(CAST(:first AS timestamp), :last, '1 day') d"""
    await syncer.sql(read, id=integration_id, first=today - timedelta(days=100), last=today + timedelta(days=1))
    return integration_id


async def _due(syncer: SyncerHarness, **fields: Any) -> UUID:
    integration_id = await _covered(syncer, **fields)
    await syncer.sql(
        "UPDATE integrations SET sweep_at = clock_timestamp() WHERE integration_id = :id", id=integration_id
    )
    return integration_id


async def _pass(syncer: SyncerHarness, span: timedelta) -> None:
    await syncer.sql("UPDATE integrations SET sweep_at = sweep_at - CAST(:span AS interval)", span=span)


async def _sweeps(syncer: SyncerHarness) -> list[Any]:
    return [one for one in await syncer.windows() if one.trigger == "sweep"]
