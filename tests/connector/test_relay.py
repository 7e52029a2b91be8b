"""What the connector announces: every change, at least once, and the newest state last."""

import pytest
from common.envelopes import Place
from common.failures import TransientError
from common.progress import Progress
from connector.relay import Markers, Relay
from connector_world import ACCOUNT, KEY, World


async def test_a_new_integration_is_announced_after_its_key(world: World) -> None:
    card = await world.add()

    await world.relay.round()

    key, state = world.publisher.published
    assert (key.topic, state.topic) == ("xai.credentials.v1", "xai.integrations.v1")
    assert type(state.message).__name__ == "IntegrationAdded"
    assert state.event_id == f"{card['integration_id']}:1"
    assert world.opener.open(key.message.envelope, Place(ACCOUNT, key.message.integration_id, 1)) == KEY
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
    progress = Progress(clock=lambda: next(seconds))

    await Relay(world.database, world.publisher, progress).round()  # type: ignore[arg-type]  # it speaks the same

    assert next(seconds) == 3


async def test_a_crash_before_it_is_noted_announces_the_same_again(world: World) -> None:
    await world.add()
    await world.relay.round()
    await world.sql("UPDATE integrations SET announced_version = 0")

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

    await sleeper._announce(slept_on)  # noqa: SLF001 - and it wakes
    await world.relay.round()

    versions = [one.message.version for one in world.publisher.of("xai.integrations.v1")]
    assert versions[-2:] == [1, 2]


async def test_every_row_is_announced_again_after_a_day(world: World) -> None:
    await world.add()
    await world.relay.round()
    await world.sql("UPDATE integrations SET announced_at = announced_at - interval '25 hours'")

    await world.relay.round()

    assert world.publisher.published[:2] == world.publisher.published[2:]


async def test_each_partition_of_the_credentials_gets_a_marker(world: World) -> None:
    await Markers(world.database, world.publisher).round()  # type: ignore[arg-type]  # it speaks the same

    assert [one.event_id for one in world.publisher.of("xai.credentials.v1")] == [f"partition {n}" for n in range(6)]
