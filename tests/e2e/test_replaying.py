"""Any topic may come again, in any order: the ledger stays as it is."""

import random
from typing import Any

from tests.support.system import SystemClient
from tests.support.waiting import until

COSTS = "xai.costs.v1"
CURRENT = """
    SELECT integration_id::text, day, account_id, usd::text, costs::text, reading_id::text, observed_at
    FROM ledger.days ORDER BY 1, 2
"""
REVISIONS = "SELECT count(*), coalesce(sum(usd), 0)::text FROM ledger.day_revisions"


async def test_the_whole_costs_topic_again_changes_nothing_at_all(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.force(team, integration_id)
    await world.consumed(f"ledger.{COSTS}", COSTS)
    before = await world.rows(CURRENT), await world.rows(REVISIONS)

    await _publish_again(world, await world.records(COSTS))

    assert (await world.rows(CURRENT), await world.rows(REVISIONS)) == before


async def test_the_whole_costs_topic_in_shuffled_order_changes_no_figure(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.force(team, integration_id)
    await world.consumed(f"ledger.{COSTS}", COSTS)
    before = await world.rows(CURRENT)
    records = await world.records(COSTS)
    random.Random(7).shuffle(records)

    await _publish_again(world, records)

    assert await world.rows(CURRENT) == before


async def _publish_again(world: SystemClient, records: list[Any]) -> None:
    for record in records:
        await world.publish(COSTS, record.key.decode(), record.value, dict(record.headers))
    await world.consumed(f"ledger.{COSTS}", COSTS)


async def test_requests_that_come_again_make_no_second_call(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.force(team, integration_id)
    calls = len(await world.calls(team))

    for record in await world.records("xai.sync-requests.v1"):
        if record.key.decode() == integration_id:
            await world.publish("xai.sync-requests.v1", integration_id, record.value, dict(record.headers))
    await world.consumed("syncer.xai.sync-requests.v1", "xai.sync-requests.v1")
    unread = "SELECT count(*) FROM syncer.windows WHERE closed_at IS NULL AND integration_id = %s"
    await until(lambda: world.rows(unread, integration_id), lambda got: got == [(0,)])

    assert len(await world.calls(team)) == calls
