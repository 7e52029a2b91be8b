"""Any topic may come again, in any order: the ledger stays as it is."""

import asyncio
import random
from typing import Any

from contract.topics import COSTS, SYNC_REQUESTS

from tests.support.system import SystemClient

CURRENT = """
    SELECT integration_id::text, day, account_id, usd::text, labels_id::text, amounts::text, reading_id::text, observed_at
    FROM ledger.days ORDER BY 1, 2
"""
REVISIONS = "SELECT count(*), coalesce(sum(usd), 0)::text FROM ledger.day_revisions"
TOGETHER = 500
"""Records that wait for the broker at once."""


async def _whole(client: SystemClient) -> None:
    """Two readings of a new team are in the ledger, and all that other tests took from it is back."""
    team, integration_id = await client.connected_team()
    await client.force(team, integration_id)
    await client.slow_down(milliseconds=25_000)  # or days that heal meanwhile, of other tests' teams, change figures
    await client.consumed("ledger", COSTS)
    await client.run("replay", COSTS.name)


async def test_the_whole_costs_topic_again_changes_nothing_at_all(client: SystemClient) -> None:
    await _whole(client)
    before = await client.rows(CURRENT), await client.rows(REVISIONS)

    await _publish_again(client, await client.records(COSTS.name))

    assert (await client.rows(CURRENT), await client.rows(REVISIONS)) == before


async def test_the_whole_costs_topic_in_shuffled_order_changes_no_figure(client: SystemClient) -> None:
    await _whole(client)
    before = await client.rows(CURRENT)
    records = await client.records(COSTS.name)
    random.Random(7).shuffle(records)

    await _publish_again(client, records)

    assert await client.rows(CURRENT) == before


async def _publish_again(client: SystemClient, records: list[Any]) -> None:
    """In the order of `records`: the producer takes them as the coroutines begin."""
    for first in range(0, len(records), TOGETHER):
        await asyncio.gather(
            *(
                client.publish(COSTS.name, record.key, record.value, dict(record.headers))
                for record in records[first : first + TOGETHER]
            )
        )
    await client.consumed("ledger", COSTS)


async def test_requests_that_come_again_make_no_second_call(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    await client.force(team, integration_id)
    calls = len(await client.calls(team))

    for record in await client.records_of(SYNC_REQUESTS, integration_id):
        await client.publish(SYNC_REQUESTS.name, integration_id, record.value, dict(record.headers))
    await client.consumed("syncer", SYNC_REQUESTS)
    await client.no_row_is_left(
        "SELECT 1 FROM syncer.windows WHERE closed_at IS NULL AND integration_id = %s", integration_id
    )

    assert len(await client.calls(team)) == calls
