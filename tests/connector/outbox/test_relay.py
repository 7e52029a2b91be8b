"""What the connector announces: every change, at least once, and the newest state last."""

import asyncio

import pytest
from common.crypto.envelopes import Binding
from common.errors import TransientError
from common.watchdog import Watchdog
from connector.outbox import rows
from sqlalchemy import text

from tests.connector.support.connector import KEY, ConnectorHarness
from tests.connector.support.streams import rename
from tests.support.messages import ACCOUNT

NOTHING_MARKED = (
    "UPDATE integrations SET announced_version = 0, announced_credential_version = 0, announced_wrap_version = 0"
)
LOCK = text("SELECT 1 FROM integrations WHERE integration_id = :id FOR UPDATE")
NEW_WRAP = "UPDATE integrations SET wrap_version = wrap_version + 1, sealed_at = clock_timestamp()"


async def test_a_new_integration_is_announced_after_its_key(connector: ConnectorHarness) -> None:
    card = await connector.add()

    await connector.relay.publish_due()

    key, state = connector.publisher.published
    assert (key.topic, state.topic) == ("xai.credentials.v1", "xai.integrations.v1")
    assert state.type == "IntegrationAdded"
    assert state.event_id == f"{card['integration_id']}:1"
    assert connector.opener.open(key.message.envelope, Binding(ACCOUNT, key.message.integration_id, 1)) == KEY
    assert KEY not in state.message.model_dump_json() + key.message.model_dump_json()


async def test_what_was_announced_is_not_announced_again(connector: ConnectorHarness) -> None:
    await connector.add()
    await connector.relay.publish_due()
    await connector.relay.publish_due()

    assert len(connector.publisher.published) == 2


async def test_every_announcement_is_progress(connector: ConnectorHarness) -> None:
    for number in range(3):
        await connector.add(team_id=f"team-{number}")
    seconds = iter(range(100))
    watchdog = Watchdog(clock=lambda: next(seconds))

    await connector.make_relay(watchdog).publish_due()

    assert next(seconds) == 3


async def test_a_crash_before_a_row_is_marked_announces_the_same_again(connector: ConnectorHarness) -> None:
    await connector.add()
    await connector.relay.publish_due()
    await connector.sql(NOTHING_MARKED)

    await connector.relay.publish_due()

    assert connector.publisher.published[:2] == connector.publisher.published[2:]


async def test_an_unavailable_broker_loses_nothing(connector: ConnectorHarness) -> None:
    await connector.add()
    connector.publisher.available(available=False)
    with pytest.raises(TransientError):
        await connector.relay.publish_due()
    connector.publisher.available()

    await connector.relay.publish_due()

    assert len(connector.publisher.of("xai.integrations.v1")) == 1


async def test_a_removal_is_announced_with_a_tombstone_for_its_key(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.relay.publish_due()
    await connector.remove(card, "erase")

    await connector.relay.publish_due()

    tombstone, state = connector.publisher.published[2:]
    assert (tombstone.body, tombstone.headers) == (None, {"credential_version": "1"})
    assert (state.type, state.message.history) == ("IntegrationRemoved", "erase")


async def test_a_relay_that_slept_makes_the_newest_state_the_last_one_again(connector: ConnectorHarness) -> None:
    card = await connector.add()
    sleeper = connector.make_relay()
    (slept_on,) = await sleeper._due()  # noqa: SLF001 - the moment between reading and publishing
    await connector.remove(card)
    await connector.relay.publish_due()

    await sleeper._announce([slept_on])  # noqa: SLF001 - and it wakes
    await connector.relay.publish_due()

    versions = [one.message.version for one in connector.publisher.of("xai.integrations.v1")]
    assert versions[-2:] == [1, 2]


async def test_every_row_is_announced_again_after_a_day(connector: ConnectorHarness) -> None:
    await connector.add()
    await connector.relay.publish_due()
    await connector.sql("UPDATE integrations SET announced_at = announced_at - interval '25 hours'")

    await connector.relay.publish_due()
    await connector.relay.publish_due()

    assert connector.publisher.published[:2] == connector.publisher.published[2:]


async def test_a_change_of_state_does_not_announce_the_key_again(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.relay.publish_due()

    await rename(connector, card)
    await connector.relay.publish_due()

    (state,) = connector.publisher.published[2:]
    assert (state.topic, state.message.version) == ("xai.integrations.v1", 2)


async def test_a_key_that_is_announced_again_after_changes_is_the_same_event(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.relay.publish_due()
    await rename(connector, card)
    await connector.relay.publish_due()
    await connector.sql("UPDATE integrations SET announced_at = announced_at - interval '25 hours'")

    await connector.relay.publish_due()

    first, again = connector.publisher.of("xai.credentials.v1")
    assert first == again


async def test_changes_of_state_do_not_delay_the_daily_announcement_of_the_key(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.relay.publish_due()
    ((before,),) = await connector.sql("SELECT announced_at FROM integrations")

    await rename(connector, card)
    await connector.relay.publish_due()

    assert await connector.sql("SELECT announced_at FROM integrations") == [(before,)]


async def test_a_key_with_a_new_wrap_is_announced_alone_at_its_own_instant(connector: ConnectorHarness) -> None:
    await connector.add()
    await connector.relay.publish_due()

    await connector.sql(NEW_WRAP)
    await connector.relay.publish_due()

    first, second = connector.publisher.of("xai.credentials.v1")
    assert len(connector.publisher.published) == 3
    assert (second.message.credential_version, second.message.wrap_version) == (1, 2)
    assert first.at < second.at
    assert await connector.sql("SELECT announced_credential_version, announced_wrap_version FROM integrations") == [
        (1, 2)
    ]


async def test_a_relay_that_slept_makes_the_newest_wrap_the_last_one_again(connector: ConnectorHarness) -> None:
    await connector.add()
    await connector.relay.publish_due()
    await connector.sql(NEW_WRAP)
    sleeper = connector.make_relay()
    slept_on = await sleeper._due()  # noqa: SLF001 - the moment between reading and publishing
    await connector.sql(NEW_WRAP)
    await connector.relay.publish_due()

    await sleeper._announce(slept_on)  # noqa: SLF001 - and it wakes
    await connector.relay.publish_due()

    assert [one.message.wrap_version for one in connector.publisher.of("xai.credentials.v1")] == [1, 3, 2, 3]


async def test_a_relay_that_slept_through_a_removal_leaves_no_key_behind(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.relay.publish_due()
    await connector.sql(NEW_WRAP)
    sleeper = connector.make_relay()
    slept_on = await sleeper._due()  # noqa: SLF001 - the moment between reading and publishing
    await connector.remove(card)
    await connector.relay.publish_due()

    await sleeper._announce(slept_on)  # noqa: SLF001 - and it wakes
    await connector.relay.publish_due()
    await connector.relay.publish_due()

    tombstones = [one.body is None for one in connector.publisher.of("xai.credentials.v1")]
    assert tombstones == [False, True, False, True]


async def test_many_keys_with_a_new_wrap_do_not_delay_a_new_integration(connector: ConnectorHarness) -> None:
    await connector.add()
    await connector.relay.publish_due()
    await connector.sql(
        """INSERT INTO integrations SELECT (copy).* FROM (
            SELECT jsonb_populate_record(i, jsonb_build_object(
                'integration_id', gen_random_uuid(), 'team_id', 'team-' || number, 'wrap_version', 2)) AS copy
            FROM integrations i, generate_series(1, 150) number) copies"""
    )
    await connector.add(team_id="new-team")

    async with connector.database.transaction() as connection:
        due = await rows.due(connection)

    assert [one.row.team_id for one in due if one.publishes_state] == ["new-team"]
    assert len(due) == rows.BATCH_SIZE + 1
    await connector.relay.publish_due()
    assert len(connector.publisher.published) == 2 + 150 + 2


async def test_a_locked_row_delays_no_other(connector: ConnectorHarness) -> None:
    held, free = [await connector.add(team_id=team) for team in ("held", "free")]
    async with connector.database.transaction() as connection:
        due = await rows.due(connection)
    noted = "SELECT integration_id::text FROM integrations WHERE announced_version = 1"
    async with connector.database.transaction() as connection, asyncio.timeout(10):
        await connection.execute(LOCK, {"id": held["integration_id"]})
        noting = asyncio.create_task(connector.relay._announce(due))  # noqa: SLF001 - the rows were read before
        while await connector.sql(noted) != [(free["integration_id"],)]:
            await asyncio.sleep(0.01)
    await asyncio.wait_for(noting, timeout=10)
    assert len(await connector.sql(noted)) == 2
