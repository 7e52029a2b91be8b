"""A reading and its decision are stored by one statement, or not at all."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from syncer.decide import decide, decide_plainly
from syncer.group_commit import GroupCommit
from syncer.leases import Claim
from syncer.provider import Reading

from tests.syncer.support.claims import claim_one
from tests.syncer.support.provider import dates_of, empty, reading_of
from tests.syncer.support.syncer import SyncerHarness

_OF = "integration_id = :id"
STORED = {
    "coverage": "day, published_at = (SELECT observed_at FROM integrations i WHERE i.integration_id = t.integration_id) AS now",
    "known_days": "day, ticks",
    "raw_answers": "part, first_day, last_day, sha256, body",
    "integrations": "read_at = observed_at AS read, refused_once_at, beyond_xai_until",
    "windows": "code, attempts, closed_at",
}


async def _claimed(syncer: SyncerHarness) -> Claim:
    await syncer.ask(await syncer.integration(), days=await syncer.recent())
    claim = await claim_one(syncer.attempt, "")
    assert claim is not None
    return claim


async def _plainly(syncer: SyncerHarness, claim: Claim, reading: Reading) -> bool:
    return await decide_plainly(GroupCommit(syncer.database), claim, reading) is not None


async def _stored(syncer: SyncerHarness, integration_id: UUID) -> dict[str, list[Any]]:
    return {
        table: await syncer.sql(f"SELECT {what} FROM {table} t WHERE {_OF} ORDER BY 1", id=integration_id)  # noqa: S608
        for table, what in STORED.items()
    }


async def test_a_plain_reading_is_stored_as_any_other(syncer: SyncerHarness) -> None:
    plain, other = await _claimed(syncer), await _claimed(syncer)

    assert await _plainly(syncer, plain, reading_of(plain.days))
    async with syncer.database.transaction() as connection:
        assert await decide(connection, other, reading_of(other.days), 0.0)

    stored = await _stored(syncer, plain.integration_id)
    assert stored == await _stored(syncer, other.integration_id)
    assert [row.day for row in stored["coverage"]] == dates_of(plain.days)
    assert stored["known_days"][0].ticks == {"grok-4-0709": 12_500_000_000}
    assert len(stored["raw_answers"]) == 1


@pytest.mark.parametrize(
    "meanwhile",
    [
        "UPDATE integrations SET removed = true",
        "UPDATE integrations SET refused_code = 'key_refused', refused_since = now()",
        "UPDATE integrations SET refused_once_at = now()",
        "UPDATE integrations SET lease = gen_random_uuid()",
        "UPDATE integrations SET lease_until = clock_timestamp() - interval '1 second'",
    ],
    ids=["removed", "refused", "refused once", "lost", "expired"],
)
async def test_a_claim_that_is_not_as_it_was_stores_nothing_plainly(syncer: SyncerHarness, meanwhile: str) -> None:
    claim = await _claimed(syncer)
    await syncer.sql(meanwhile)

    assert not await _plainly(syncer, claim, reading_of(claim.days))

    assert await syncer.sql("SELECT 1 FROM raw_answers UNION ALL SELECT 1 FROM coverage") == []
    assert (await syncer.window()).decision is None


async def test_a_reading_that_raises_a_question_is_not_stored_plainly(syncer: SyncerHarness) -> None:
    integration_id, days = await syncer.integration(), await syncer.recent()
    await syncer.ask(integration_id, days=days)
    syncer.xai.answers.append(lambda days: reading_of(days, {"grok": Decimal(5)}))
    await syncer.settle()
    await syncer.ask(integration_id, days=days)
    claim = await claim_one(syncer.attempt, "")
    assert claim is not None
    assert claim.known[days.first] == {"grok": 50_000_000_000}

    assert not await _plainly(syncer, claim, empty(days))
    await syncer.attempt.run(claim)
    await syncer.ask(integration_id, days=days)
    again = await claim_one(syncer.attempt, "")

    assert again is not None
    assert (again.has_questions, await _plainly(syncer, again, reading_of(days))) == (True, False)


async def test_days_that_are_no_longer_readable_are_not_loaded(syncer: SyncerHarness) -> None:
    integration_id, today = await syncer.integration(), await syncer.today()
    for before in (0, 89, 90):
        await syncer.sql(
            "INSERT INTO known_days VALUES (:id, :day, '{}')", id=integration_id, day=today - timedelta(days=before)
        )
    await syncer.ask(integration_id)

    claim = await claim_one(syncer.attempt, "")

    assert claim is not None
    assert claim.known.keys() == {today, today - timedelta(days=89)}
