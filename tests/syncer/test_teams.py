"""One team, whoever connected it: one call at a time, and its rate, by all processes together."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import uuid4

from common.rate_limits import Rate
from contract.fields import Trigger
from syncer.attempt import Attempt
from syncer.domain import Days
from syncer.teams import bucket, leased, take_call
from syncer.xai.pacing import CallLimits

from tests.syncer.support.claims import claim_one
from tests.syncer.support.syncer import SyncerHarness

TEAM = str(uuid4())


async def _connected_by(syncer: SyncerHarness, accounts: int, team_id: str = TEAM) -> None:
    """A team that several accounts connected, with days to read for each."""
    today = await syncer.today()
    for number in range(accounts):
        integration_id = await syncer.integration(account_id=f"account-{number}", team_id=team_id)
        for before in range(3):
            day = today - timedelta(days=before)
            await syncer.ask(integration_id, Trigger.BACKFILL, Days(day, day))


def _processes(syncer: SyncerHarness, per_team: Rate) -> list[Attempt]:
    """Four syncers, each with limits of its own."""
    return [
        Attempt(syncer.database, syncer.publisher, syncer.xai, CallLimits(per_team=per_team), in_flight=1)
        for _ in range(4)
    ]


async def test_four_syncers_never_read_a_team_twice_at_once(syncer: SyncerHarness) -> None:
    await _connected_by(syncer, accounts=8)

    await syncer.settle(workers=4, in_flight=4)

    assert syncer.xai.most_at_once == 1
    assert len(syncer.xai.calls) == len(syncer.readings()) == 24


async def test_teams_do_not_wait_for_each_other(syncer: SyncerHarness) -> None:
    for number in range(4):
        await _connected_by(syncer, accounts=1, team_id=f"team-{number}")

    claims = [await claim_one(syncer.attempt, "") for _ in range(5)]

    assert Counter(claim.team_id for claim in claims if claim) == {f"team-{number}": 1 for number in range(4)}
    assert claims[4] is None


async def test_the_rate_of_a_team_holds_for_all_processes_together(syncer: SyncerHarness) -> None:
    await _connected_by(syncer, accounts=8)
    processes = _processes(syncer, Rate(5, 3600))

    async def work(process: Attempt) -> None:
        while claim := await claim_one(process, ""):
            await process.run(claim)

    for _ in range(20):  # who finds the team busy ends at once
        await asyncio.gather(*(work(process) for process in processes))

    assert len(syncer.xai.calls) == 5
    await syncer.sql("UPDATE teams SET full_at = full_at - interval '12 minutes'")
    for process in processes:
        await work(process)
    assert len(syncer.xai.calls) == 6


async def test_a_window_that_ends_without_a_call_leaves_its_team_all_of_its_calls(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration(team_id=TEAM)
    long_ago = await syncer.today() - timedelta(days=200)
    await syncer.ask(integration_id, days=Days(long_ago, long_ago))
    process, *_ = _processes(syncer, Rate(1, 3600))

    for expected in (0, 1):
        claim = await claim_one(process, "")
        assert claim is not None
        assert claim.needs_call
        await process.run(claim)
        assert len(syncer.xai.calls) == expected
        await syncer.ask(integration_id)

    assert await claim_one(process, "") is None


async def test_a_process_that_died_blocks_its_team_until_its_lease_ends(syncer: SyncerHarness) -> None:
    await _connected_by(syncer, accounts=2)
    one, other, *_ = _processes(syncer, Rate(60, 60))
    dead = await claim_one(one, "dead")

    assert dead is not None
    assert await claim_one(other, "") is None

    await syncer.expire_leases()
    claim = await claim_one(other, "")
    assert claim is not None
    await one.run(dead)  # it was only slow: its answer is dropped, and the team is still the other's
    assert syncer.readings() == []
    assert await claim_one(one, "") is None
    await other.run(claim)
    assert len(syncer.readings()) == 1


async def test_a_process_that_starts_again_frees_the_teams_that_it_held(syncer: SyncerHarness) -> None:
    await _connected_by(syncer, accounts=2)
    assert await claim_one(syncer.attempt, "syncer-1") is not None

    await syncer.release_owner("syncer-1")

    assert await claim_one(syncer.attempt, "syncer-1") is not None


async def test_a_decision_is_published_although_its_team_is_read(syncer: SyncerHarness) -> None:
    await _connected_by(syncer, accounts=2)
    await syncer.crash_after_publishing(1)
    await syncer.sql("UPDATE integrations SET lease_until = clock_timestamp() - interval '1 second'")

    claim = await claim_one(syncer.attempt, "")

    assert claim is not None
    assert (claim.decision is None, claim.needs_call) == (False, False)


async def test_a_further_call_of_a_lease_that_was_lost_is_not_made(syncer: SyncerHarness) -> None:
    await _connected_by(syncer, accounts=1)
    claim = await claim_one(syncer.attempt, "")
    assert claim is not None

    async with syncer.database.direct() as driver:
        assert [await take_call(driver, TEAM, claim.lease, Rate(3, 3600)) for _ in range(4)] == [
            True,
            True,
            True,
            False,
        ]
        assert not await take_call(driver, TEAM, uuid4(), Rate(1000, 1))


async def test_an_operator_who_asks_has_the_team_alone(syncer: SyncerHarness) -> None:
    await _connected_by(syncer, accounts=1)

    async with leased(syncer.database, TEAM, Rate(60, 60), timedelta(minutes=2)) as first:
        assert first
        assert await claim_one(syncer.attempt, "") is None
        async with leased(syncer.database, TEAM, Rate(60, 60), timedelta(minutes=2)) as second:
            assert not second

    assert await claim_one(syncer.attempt, "") is not None


def test_a_bucket_is_counted_in_microseconds_and_never_lets_more_through() -> None:
    assert bucket(Rate(60, 60)) == {"interval": timedelta(seconds=1), "slack": timedelta(seconds=59)}
    assert bucket(Rate(7, 60))["interval"] == timedelta(microseconds=8_571_429)
