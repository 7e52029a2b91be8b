"""Which window is claimed next, and what a lost lease means."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from common.rate_limits import Rate
from contract.fields import Trigger
from contract.rules import READABLE_DAYS
from syncer import leases
from syncer.domain import Days
from syncer.group_commit import BY_INDEX
from syncer.teams import bucket

from tests.support.waiting import until
from tests.syncer.support.syncer import SyncerHarness


async def _release_leases(syncer: SyncerHarness) -> None:
    for table in ("integrations", "teams"):
        await syncer.sql(f"UPDATE {table} SET lease = NULL, lease_until = NULL")  # noqa: S608 - constants


@pytest.mark.parametrize("lose", [SyncerHarness.expire_leases, _release_leases])
async def test_a_worker_that_lost_its_lease_drops_its_answer(
    syncer: SyncerHarness, lose: Callable[[SyncerHarness], Awaitable[None]]
) -> None:
    await syncer.ask(await syncer.integration())
    frozen, resume = asyncio.Event(), asyncio.Event()

    async def freeze() -> None:
        syncer.xai.meanwhile = None
        frozen.set()
        await resume.wait()

    syncer.xai.meanwhile = freeze
    async with syncer.working(workers=2):
        await frozen.wait()
        await lose(syncer)
        syncer.wake()
        await until(syncer.readings)
        resume.set()
        await until(lambda: not syncer.xai.in_flight)

    assert len(syncer.xai.calls) == 2
    assert len(syncer.readings()) == 1
    assert len(await syncer.sql("SELECT * FROM raw_answers")) == 1


async def test_an_answer_from_before_a_lease_expired_does_not_serve_later_requests(syncer: SyncerHarness) -> None:
    integration_id, days = await syncer.integration(), await syncer.recent()
    await syncer.ask(integration_id, Trigger.DAILY, days, request_id="before")

    async def freeze() -> None:
        syncer.xai.meanwhile = None
        await syncer.expire_leases()
        await syncer.ask(integration_id, Trigger.FORCE, days, request_id="after")

    syncer.xai.meanwhile = freeze
    await syncer.settle(in_flight=1)

    (window,) = syncer.readings()
    assert len(syncer.xai.calls) == 2
    assert set(window.request_ids) == {"before", "after"}


async def test_a_request_that_joined_while_the_clock_was_ahead_is_answered(syncer: SyncerHarness) -> None:
    """Seen from ahead the lease had expired; then the clock steps back, and it is held as before."""
    integration_id, days = await syncer.integration(), await syncer.recent()
    await syncer.ask(integration_id, Trigger.DAILY, days, request_id="before")

    async def step() -> None:
        syncer.xai.meanwhile = None
        await syncer.expire_leases()
        await syncer.ask(integration_id, Trigger.DAILY, days, request_id="ahead")
        for table in ("integrations", "teams"):
            await syncer.sql(f"UPDATE {table} SET lease_until = clock_timestamp() + interval '20 seconds'")  # noqa: S608 - a constant

    syncer.xai.meanwhile = step
    await syncer.settle(in_flight=1)

    (window,) = syncer.readings()
    assert set(window.request_ids) == {"before", "ahead"}


async def test_windows_that_are_claimed_together_are_read_in_the_order_of_their_urgency(syncer: SyncerHarness) -> None:
    yesterday = await syncer.today() - timedelta(days=1)
    ago = [yesterday - timedelta(days=number) for number in range(5)]
    wanted = [(Trigger.FORCE, ago[4]), (Trigger.DAILY, ago[0]), *((Trigger.BACKFILL, day) for day in ago)]
    for trigger, day in random.Random(3).sample(wanted, len(wanted)):
        await syncer.ask(await syncer.integration(), trigger, Days(day, day))

    claims, are_more_due = await syncer.attempt.claim("any", len(wanted))

    assert [(one.trigger, one.days.last) for one in claims] == wanted
    assert are_more_due
    assert not (await syncer.attempt.claim("any", 1))[1]


async def test_people_are_served_first_and_backfills_last_newest_first(syncer: SyncerHarness) -> None:
    integration_id, today = await syncer.integration(), await syncer.today()
    older = [Days(today - timedelta(days=n), today - timedelta(days=n)) for n in range(1, 7)]
    order = [Trigger.BACKFILL, Trigger.BACKFILL, Trigger.HEAL, Trigger.DAILY, Trigger.VISIT, Trigger.FORCE]
    for trigger, days in zip(order, reversed(older), strict=True):
        await syncer.ask(integration_id, trigger, days)

    await syncer.settle()

    assert [window.trigger for window in syncer.readings()] == [
        Trigger.FORCE,
        Trigger.VISIT,
        Trigger.DAILY,
        Trigger.HEAL,
        Trigger.BACKFILL,
        Trigger.BACKFILL,
    ]
    assert syncer.readings()[-1].first_day < syncer.readings()[-2].first_day


async def test_each_reading_is_observed_after_the_one_before_whatever_the_clock_does(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await syncer.sql("UPDATE integrations SET observed_at = clock_timestamp() + interval '1 hour'")
    before = (await syncer.row_of(integration_id)).observed_at

    await syncer.ask(integration_id)
    await syncer.settle()

    assert syncer.readings()[0].observed_at == before + timedelta(microseconds=1)


async def test_windows_wait_until_the_announced_key_has_arrived(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await syncer.announce(await syncer.state(integration_id, version=2, credential_version=2))
    await syncer.settle()
    assert syncer.xai.calls == []

    await syncer.seal(integration_id, version=2)
    await syncer.settle()

    assert [version for _, version, _ in syncer.xai.calls] == [2]


async def test_a_window_of_a_dead_process_ends_though_the_removal_deleted_the_key(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    request_id = await syncer.ask(integration_id)
    await syncer.sql(
        """UPDATE integrations SET lease = gen_random_uuid(), lease_until = clock_timestamp() + interval '1 minute',
           leased_window = (SELECT window_id FROM windows)"""
    )
    await syncer.remove(integration_id)

    await syncer.expire_leases()
    await syncer.settle()

    (failure,) = syncer.failures()
    assert (failure.code, failure.request_ids) == ("not_found", (request_id,))


async def test_several_windows_are_claimed_together_the_most_urgent_first_and_one_of_a_team(
    syncer: SyncerHarness,
) -> None:
    days, team_id = await syncer.recent(), str(uuid4())
    daily, forced = [await syncer.integration(team_id=str(uuid4())) for _ in range(2)]
    shared = [await syncer.integration(team_id=team_id) for _ in range(2)]
    for integration_id in (daily, *shared):
        await syncer.ask(integration_id, Trigger.DAILY, days)
    await syncer.ask(forced, Trigger.FORCE, days)

    (first,), others_are_due = await syncer.attempt.claim("", 1)
    others, more_are_due = await syncer.attempt.claim("", 9)

    assert first.integration_id == forced
    assert {one.team_id for one in others} == {others[0].team_id, others[1].team_id}
    assert daily in {one.integration_id for one in others}
    assert len(others) == 2
    assert len({one.lease for one in (first, *others)}) == 3
    assert all(len(one.request_ids) == 1 and one.credential for one in (first, *others))
    assert (others_are_due, more_are_due) == (True, False)
    assert await syncer.attempt.claim("", 9) == ([], False)


async def test_a_claim_reads_the_index_from_its_begin_however_few_windows_there_are(syncer: SyncerHarness) -> None:
    """A plan that sorts all due windows looks cheaper while there are up to some thousand, and takes ten times as long."""
    for _ in range(20):
        await syncer.ask(await syncer.integration(team_id=str(uuid4())))
    values = {"owner": "", "lasts": leases.LEASE, "at_most": 1} | bucket(Rate(60, 60))

    await syncer.sql("ANALYZE")
    async with syncer.database.pipeline() as pipeline:
        await pipeline.execute(BY_INDEX)
        claiming = await pipeline.execute("EXPLAIN " + leases.CLAIMS[True], values)
        loading = await pipeline.execute("EXPLAIN " + leases.LOAD, {"readable_days": READABLE_DAYS})

    plan = "\n".join([row["QUERY PLAN"] async for row in claiming])
    assert "Index Scan using windows_turns" in plan
    assert "Seq Scan" not in plan
    assert plan.count("Sort Key") == 1, "of the few that were found"
    plan = "\n".join([row["QUERY PLAN"] async for row in loading])
    assert "requests_of_window" in plan
    assert "requests_by_age" not in plan, "it has all requests in order: none would be sorted, and all would be read"
