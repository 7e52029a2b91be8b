"""Which rows are due, and what marks them: after a slow relay the newest state is the last one; no row delays another."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from connector.outbox import rows
from sqlalchemy import text

from tests.connector.support.connector import NEW_WRAP, ConnectorHarness, team_of

LOCK = text("SELECT 1 FROM integrations WHERE integration_id = :id FOR UPDATE")
MARKED = "SELECT integration_id::text FROM integrations WHERE announced_version = 1"
A_HUNDRED_AND_FIFTY_NEW_WRAPS = """
    INSERT INTO integrations SELECT (copy).* FROM (
        SELECT jsonb_populate_record(i, jsonb_build_object(
            'integration_id', gen_random_uuid(), 'team_id', 'team-' || number, 'wrap_version', 2)) AS copy
        FROM integrations i, generate_series(1, 150) number) copies"""


async def slow_relay(connector: ConnectorHarness) -> Callable[[], Awaitable[None]]:
    """A relay that has read what is due, and publishes it when called."""
    relay = connector.make_relay()
    return partial(relay._announce, await relay._due())  # noqa: SLF001 - the moment between reading and publishing


async def test_after_a_slow_relay_the_newest_state_is_announced_again(connector: ConnectorHarness) -> None:
    card = await connector.add()
    publish_late = await slow_relay(connector)
    await connector.remove(card)
    await connector.relay.publish_due()

    await publish_late()
    await connector.relay.publish_due()

    assert [one.version for one in connector.publisher.messages("xai.integrations.v1")][-2:] == [1, 2]


async def test_after_a_slow_relay_the_newest_wrap_is_announced_again(connector: ConnectorHarness) -> None:
    await connector.add()
    await connector.relay.publish_due()
    await connector.sql(NEW_WRAP)
    publish_late = await slow_relay(connector)
    await connector.sql(NEW_WRAP)
    await connector.relay.publish_due()

    await publish_late()
    await connector.relay.publish_due()

    assert [one.wrap_version for one in connector.publisher.messages("xai.credentials.v1")] == [1, 3, 2, 3]


async def test_a_relay_that_is_slow_over_a_removal_leaves_no_key(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.relay.publish_due()
    await connector.sql(NEW_WRAP)
    publish_late = await slow_relay(connector)
    await connector.remove(card)
    await connector.relay.publish_due()

    await publish_late()
    await connector.relay.publish_due()
    await connector.relay.publish_due()

    tombstones = [one.body is None for one in connector.publisher.of("xai.credentials.v1")]
    assert tombstones == [False, True, False, True]


async def test_many_keys_with_a_new_wrap_do_not_delay_a_new_integration(connector: ConnectorHarness) -> None:
    await connector.add()
    await connector.relay.publish_due()
    await connector.sql(A_HUNDRED_AND_FIFTY_NEW_WRAPS)
    await connector.add(team_id=team_of("new-team"))

    async with connector.database.direct() as driver:
        due = await rows.due(driver)

    assert [one.row.team_id for one in due if one.publishes_state] == [team_of("new-team")]
    assert len(due) == rows.BATCH_SIZE + 1
    await connector.relay.publish_due()
    assert len(connector.publisher.published) == 2 + 150 + 2


async def test_a_locked_row_delays_no_other(connector: ConnectorHarness) -> None:
    locked, free = [await connector.add(team_id=team_of(team)) for team in ("locked", "free")]
    publish = await slow_relay(connector)
    async with connector.database.transaction() as connection, asyncio.timeout(10):
        await connection.execute(LOCK, {"id": locked["integration_id"]})
        publishing = asyncio.ensure_future(publish())
        while await connector.sql(MARKED) != [(free["integration_id"],)]:
            await asyncio.sleep(0.01)
    await asyncio.wait_for(publishing, timeout=10)
    assert len(await connector.sql(MARKED)) == 2


async def test_a_look_passes_over_no_row_that_is_not_due(connector: ConnectorHarness) -> None:
    """Otherwise every look would read all integrations."""
    await connector.add()
    await connector.sql(A_HUNDRED_AND_FIFTY_NEW_WRAPS)
    await connector.sql("""UPDATE integrations SET announced_version = version, announced_at = clock_timestamp(),
        announced_credential_version = credential_version, announced_wrap_version = wrap_version""")

    async with connector.database.pipeline() as pipeline:
        await pipeline.execute("SET LOCAL enable_seqscan = off")
        plan = f"EXPLAIN (ANALYZE, FORMAT JSON) {rows._DUE}"  # noqa: SLF001 - its own statement
        values = {"batch": rows.BATCH_SIZE, "reannounce_after": rows.REANNOUNCE_AFTER}
        shown = str(await (await pipeline.execute(plan, values)).fetchall())

    assert "integrations_by_announcement" in shown
    assert "Rows Removed by Filter" not in shown
