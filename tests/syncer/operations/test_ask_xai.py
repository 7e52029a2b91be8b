"""Operators ask xAI about every integration, by label and as sums, and nothing is changed."""

import asyncio
from datetime import timedelta

from common.rate_limits import Rate
from contract.problems import Code
from syncer.operations.ask_xai import Asking, WindowAnswer
from syncer.provider import ReadRefusedError, ReadTransientError
from syncer.teams import POLL_EVERY
from syncer.xai.pacing import CallLimits

from tests.support.waiting import until
from tests.syncer.support.claims import claim_one
from tests.syncer.support.syncer import SyncerHarness


async def _ask(syncer: SyncerHarness, *, days: int = 89, limits: CallLimits | None = None) -> list[WindowAnswer]:
    since = await syncer.today() - timedelta(days=days)
    asking = Asking(syncer.database, syncer.xai, limits or CallLimits())
    return [answer async for answer in asking.all(since, None)]


async def test_every_readable_day_is_asked_about_in_windows_of_thirty_days(syncer: SyncerHarness) -> None:
    await syncer.integration()

    answers = await _ask(syncer)

    assert [len(one.days) for one in answers] == [30, 30, 30]
    assert all(one.days.keys() == one.sums.keys() for one in answers)
    days = [day for one in answers for day in one.days]
    assert (days[0], days[-1]) == (await syncer.today() - timedelta(days=89), await syncer.today())
    assert len(syncer.xai.calls) == 6


async def test_an_integration_that_cannot_be_asked_about_is_named_and_delays_no_other(syncer: SyncerHarness) -> None:
    for _ in range(3):
        await syncer.integration()
    ids = [row.integration_id for row in await syncer.sql("SELECT * FROM integrations ORDER BY integration_id")]
    await syncer.sql("DELETE FROM credentials WHERE integration_id = :id", id=ids[1])
    syncer.xai.answers.append(ReadRefusedError(Code.KEY_REFUSED))

    answers = await _ask(syncer)

    assert [(one.integration_id, one.code) for one in answers if one.code] == [
        (ids[0], Code.KEY_REFUSED),
        (ids[1], Code.KEY_UNAVAILABLE),
    ]
    assert [one.integration_id for one in answers if one.days] == [ids[2]] * 3


async def test_what_was_removed_is_not_asked_about(syncer: SyncerHarness) -> None:
    await syncer.remove(await syncer.integration())

    assert await _ask(syncer) == []
    assert syncer.xai.calls == []


async def test_nothing_is_queued_published_or_marked(syncer: SyncerHarness) -> None:
    await syncer.integration()
    syncer.xai.answers.extend([ReadTransientError(Code.XAI_UNAVAILABLE), ReadRefusedError(Code.KEY_REFUSED)])
    before = await syncer.sql("SELECT * FROM integrations")

    await _ask(syncer)
    await _ask(syncer)

    assert await syncer.sql("SELECT * FROM integrations") == before
    assert (await syncer.windows(), await syncer.requests(), syncer.publisher.published) == ([], [], [])


async def test_a_team_is_asked_about_no_more_often_than_by_a_running_syncer(syncer: SyncerHarness) -> None:
    await syncer.integration()

    asking = asyncio.create_task(_ask(syncer, days=7, limits=CallLimits(per_team=Rate(1, 3600))))
    await until(lambda: syncer.xai.calls and not syncer.xai.in_flight)
    await syncer.sql("UPDATE teams SET full_at = full_at - interval '1 hour'")

    assert len(await asking) == 1
    assert len(syncer.xai.calls) == 2
    (team,) = await syncer.sql(
        "SELECT lease, full_at > clock_timestamp() + interval '59 minutes' AS is_taken FROM teams"
    )
    assert (team.lease, team.is_taken) == (None, True)


async def test_a_team_that_a_syncer_reads_is_asked_about_afterwards(syncer: SyncerHarness) -> None:
    await syncer.ask(await syncer.integration())
    claim = await claim_one(syncer.attempt, "a syncer")
    assert claim is not None

    asking = asyncio.create_task(_ask(syncer, days=7))
    await asyncio.wait([asking], timeout=2 * POLL_EVERY)
    assert (asking.done(), syncer.xai.calls) == (False, [])
    await syncer.attempt.run(claim)

    assert len(await asking) == 1
