"""What the connector announces: every change, at least once, and the newest state last."""

import asyncio

import pytest
from common.crypto.envelopes import Binding
from common.errors import TransientError
from common.watchdog import Watchdog
from connector.outbox import rows as outbox_rows
from connector.outbox.relay import Markers, Relay
from sqlalchemy import text

from tests.connector.support.connector import ACCOUNT, KEY, World

NOTHING_NOTED = (
    "UPDATE integrations SET announced_version = 0, announced_credential_version = 0, announced_wrap_version = 0"
)
LOCK = text("SELECT 1 FROM integrations WHERE integration_id = :id FOR UPDATE")
WRAPPED_ANEW = "UPDATE integrations SET wrap_version = wrap_version + 1, sealed_at = clock_timestamp()"


async def test_a_new_integration_is_announced_after_its_key(world: World) -> None:
    card = await world.add()

    await world.relay.round()

    key, state = world.publisher.published
    assert (key.topic, state.topic) == ("xai.credentials.v1", "xai.integrations.v1")
    assert type(state.message).__name__ == "IntegrationAdded"
    assert state.event_id == f"{card['integration_id']}:1"
    assert world.opener.open(key.message.envelope, Binding(ACCOUNT, key.message.integration_id, 1)) == KEY
    assert KEY not in state.message.model_dump_json() + key.message.model_dump_json()


async def test_what_was_announced_is_not_announced_again(world: World) -> None:
    await world.add()
    await world.relay.round()
    await world.relay.round()

    assert len(world.publisher.published) == 2


async def test_every_announcement_is_progress(world: World) -> None:
    for number in range(3):
        await world.add(team_id=f"team-{number}")
    seconds = iter(range(100))
    watchdog = Watchdog(clock=lambda: next(seconds))

    await Relay(world.database, world.publisher, watchdog).round()  # type: ignore[arg-type]  # it speaks the same

    assert next(seconds) == 3


async def test_a_crash_before_it_is_noted_announces_the_same_again(world: World) -> None:
    await world.add()
    await world.relay.round()
    await world.sql(NOTHING_NOTED)

    await world.relay.round()

    assert world.publisher.published[:2] == world.publisher.published[2:]


async def test_a_broker_that_is_away_loses_nothing(world: World) -> None:
    await world.add()
    world.publisher.away = True
    with pytest.raises(TransientError):
        await world.relay.round()
    world.publisher.away = False

    await world.relay.round()

    assert len(world.publisher.of("xai.integrations.v1")) == 1


async def test_a_removal_is_announced_with_a_tombstone_for_its_key(world: World) -> None:
    card = await world.add()
    await world.relay.round()
    await world.http.delete(f"/integrations/{card['integration_id']}?history=erase")

    await world.relay.round()

    tombstone, state = world.publisher.published[2:]
    assert (tombstone.message, tombstone.headers) == (None, {"credential_version": "1"})
    assert (type(state.message).__name__, state.message.history) == ("IntegrationRemoved", "erase")


async def test_a_relay_that_slept_makes_the_newest_state_the_last_one_again(world: World) -> None:
    card = await world.add()
    sleeper = world.make_relay()
    (slept_on,) = await sleeper._due()  # noqa: SLF001 - the moment between reading and publishing
    await world.http.delete(f"/integrations/{card['integration_id']}")
    await world.relay.round()

    await sleeper._announce([slept_on])  # noqa: SLF001 - and it wakes
    await world.relay.round()

    versions = [one.message.version for one in world.publisher.of("xai.integrations.v1")]
    assert versions[-2:] == [1, 2]


async def test_every_row_is_announced_again_after_a_day(world: World) -> None:
    await world.add()
    await world.relay.round()
    await world.sql("UPDATE integrations SET announced_at = announced_at - interval '25 hours'")

    await world.relay.round()
    await world.relay.round()

    assert world.publisher.published[:2] == world.publisher.published[2:]


async def test_a_change_of_state_does_not_announce_the_key_again(world: World) -> None:
    card = await world.add()
    await world.relay.round()

    await world.http.patch(f"/integrations/{card['integration_id']}", json={"label": "another name"})
    await world.relay.round()

    (state,) = world.publisher.published[2:]
    assert (state.topic, state.message.version) == ("xai.integrations.v1", 2)


async def test_a_key_that_is_announced_again_after_changes_is_the_same_event(world: World) -> None:
    card = await world.add()
    await world.relay.round()
    await world.http.patch(f"/integrations/{card['integration_id']}", json={"label": "another name"})
    await world.relay.round()
    await world.sql("UPDATE integrations SET announced_at = announced_at - interval '25 hours'")

    await world.relay.round()

    first, again = world.publisher.of("xai.credentials.v1")
    assert first == again


async def test_changes_of_state_do_not_put_off_the_daily_announcement_of_the_key(world: World) -> None:
    card = await world.add()
    await world.relay.round()
    ((before,),) = await world.sql("SELECT announced_at FROM integrations")

    await world.http.patch(f"/integrations/{card['integration_id']}", json={"label": "another name"})
    await world.relay.round()

    assert await world.sql("SELECT announced_at FROM integrations") == [(before,)]


async def test_a_key_in_a_new_wrap_is_announced_alone_at_its_own_instant(world: World) -> None:
    await world.add()
    await world.relay.round()

    await world.sql(WRAPPED_ANEW)
    await world.relay.round()

    first, anew = world.publisher.of("xai.credentials.v1")
    assert len(world.publisher.published) == 3
    assert (anew.message.credential_version, anew.message.wrap_version) == (1, 2)
    assert first.at is not None
    assert anew.at is not None
    assert first.at < anew.at
    assert await world.sql("SELECT announced_credential_version, announced_wrap_version FROM integrations") == [(1, 2)]


async def test_a_relay_that_slept_makes_the_newest_wrap_the_last_one_again(world: World) -> None:
    await world.add()
    await world.relay.round()
    await world.sql(WRAPPED_ANEW)
    sleeper = world.make_relay()
    slept_on = await sleeper._due()  # noqa: SLF001 - the moment between reading and publishing
    await world.sql(WRAPPED_ANEW)
    await world.relay.round()

    await sleeper._announce(slept_on)  # noqa: SLF001 - and it wakes
    await world.relay.round()

    assert [one.message.wrap_version for one in world.publisher.of("xai.credentials.v1")] == [1, 3, 2, 3]


async def test_a_relay_that_slept_through_a_removal_leaves_no_key_behind(world: World) -> None:
    card = await world.add()
    await world.relay.round()
    await world.sql(WRAPPED_ANEW)
    sleeper = world.make_relay()
    slept_on = await sleeper._due()  # noqa: SLF001 - the moment between reading and publishing
    await world.http.delete(f"/integrations/{card['integration_id']}")
    await world.relay.round()

    await sleeper._announce(slept_on)  # noqa: SLF001 - and it wakes
    await world.relay.round()
    await world.relay.round()

    told = [one.message is None for one in world.publisher.of("xai.credentials.v1")]
    assert told == [False, True, False, True]


async def test_many_keys_in_a_new_wrap_do_not_hold_up_a_new_integration(world: World) -> None:
    await world.add()
    await world.relay.round()
    await world.sql(
        """INSERT INTO integrations SELECT (copy).* FROM (
            SELECT jsonb_populate_record(i, jsonb_build_object(
                'integration_id', gen_random_uuid(), 'team_id', 'team-' || number, 'wrap_version', 2)) AS copy
            FROM integrations i, generate_series(1, 150) number) copies"""
    )
    await world.add(team_id="new-team")

    async with world.database.transaction() as connection:
        due = await outbox_rows.due(connection)

    assert [one.row.team_id for one in due if one.tells_state] == ["new-team"]
    assert len(due) == outbox_rows.AT_ONCE + 1
    await world.relay.round()
    assert len(world.publisher.published) == 2 + 150 + 2


async def test_a_row_that_somebody_changes_holds_up_no_other(world: World) -> None:
    held, free = [await world.add(team_id=team) for team in ("held", "free")]
    async with world.database.transaction() as connection:
        due = await outbox_rows.due(connection)
    noted = "SELECT integration_id::text FROM integrations WHERE announced_version = 1"
    async with world.database.transaction() as connection, asyncio.timeout(10):
        await connection.execute(LOCK, {"id": held["integration_id"]})
        noting = asyncio.create_task(world.relay._announce(due))  # noqa: SLF001 - the rows were read before
        while await world.sql(noted) != [(free["integration_id"],)]:
            await asyncio.sleep(0.01)
    await asyncio.wait_for(noting, timeout=10)
    assert len(await world.sql(noted)) == 2


async def test_each_partition_of_the_credentials_gets_a_marker(world: World) -> None:
    await Markers(world.database, world.publisher).round()  # type: ignore[arg-type]  # it speaks the same

    assert [one.event_id for one in world.publisher.of("xai.credentials.v1")] == [f"partition {n}" for n in range(6)]
