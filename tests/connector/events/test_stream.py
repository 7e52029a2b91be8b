"""A screen that follows an account hears everything once, in order, from any connector, and nothing of anybody else."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from connector.events import event_log
from connector.events.subscribers import PER_ACCOUNT

from tests.connector.support.connector import World
from tests.connector.support.streams import EVENTS, Process, kinds, lived, numbers

ANOTHER = "another-obviously-fake-token"


async def test_a_new_stream_tells_how_things_stand_and_then_what_happens(world: World, process: Process) -> None:
    card = await world.add()
    reader = process.read()

    standing, everything = await reader.next(2)
    await world.http.patch(f"/integrations/{card['integration_id']}", json={"label": "Research"})
    (renamed,) = await reader.next()

    assert (standing.kind, standing.number, standing.data["label"]) == ("integration", None, card["label"])
    assert (everything.kind, everything.number) == ("present", 1)
    assert everything.data == {"integration_ids": [card["integration_id"]]}
    assert (renamed.kind, renamed.number, renamed.data["label"]) == ("integration", 2, "Research")
    assert reader.headers["content-type"].startswith("text/event-stream")
    assert reader.body.startswith("retry: ")


async def test_the_stream_of_an_account_that_has_nothing_yet_tells_its_first_integration(
    world: World, process: Process
) -> None:
    reader = process.read()
    (everything,) = await reader.next()

    await world.add()

    assert (everything.number, everything.data) == (0, {"integration_ids": []})
    assert (await reader.next())[0].number == 1


async def test_what_was_removed_with_its_history_kept_still_stands_there(world: World, process: Process) -> None:
    kept, erased = [await world.add(team_id=team) for team in ("kept", "erased")]
    await world.http.delete(f"/integrations/{kept['integration_id']}?history=keep")
    await world.http.delete(f"/integrations/{erased['integration_id']}?history=erase")

    standing, everything = await process.read().next(2)

    assert (standing.data["status"], standing.data["history"]) == ("removed", "keep")
    assert everything.data["integration_ids"] == [kept["integration_id"]]


async def test_a_reader_of_another_connector_hears_it_too(world: World, process: Process) -> None:
    other = Process(world.database)
    async with other.listening():
        readers = [process.read(), other.read()]
        for reader in readers:
            await reader.next()
        await world.add()

        assert [numbers(await reader.next()) for reader in readers] == [[1], [1]]
        await other.close()


async def test_an_account_is_told_nothing_of_another_one(world: World, process: Process) -> None:
    reader = process.read(account_id="account-2")
    await reader.next()
    await lived(world)
    asked = process.database.asked

    await world.sql("INSERT INTO accounts (account_id, plan) VALUES ('account-2', 'free')")
    await world.sql(
        "INSERT INTO account_events SELECT 'account-2', 1, 'integration', gen_random_uuid(), '{}', clock_timestamp()"
    )
    await world.sql("UPDATE accounts SET last_event = 1 WHERE account_id = 'account-2'")
    await world.sql(f"SELECT pg_notify('{event_log.CHANNEL}', 'account-2')")

    assert [(one.number, one.data) for one in await reader.next()] == [(1, {})]
    assert process.database.asked == asked + 1


# to go on where one was


async def test_a_reader_goes_on_from_any_point_of_a_history_without_a_gap(world: World, process: Process) -> None:
    await lived(world)
    whole = await process.read(0).until(EVENTS)

    assert numbers(whole) == list(range(1, EVENTS + 1))
    for heard in range(EVENTS):
        assert await process.read(heard).until(EVENTS) == whole[heard:]


async def test_a_reader_that_heard_everything_hears_only_what_is_new(world: World, process: Process) -> None:
    card = await lived(world)
    reader = process.read(EVENTS)

    await world.http.patch(f"/integrations/{card['integration_id']}", json={"label": "Sales"})

    assert numbers(await reader.next()) == [EVENTS + 1]


@pytest.mark.parametrize("told", ["", "abc", "-1", "1.0", "²", "9" * 18, "9" * 5000, str(EVENTS + 1)])
async def test_a_place_that_never_was_begins_with_how_things_stand(world: World, process: Process, told: str) -> None:
    await lived(world)

    begun = await process.read(told).next(2)

    assert [(one.kind, one.number) for one in begun] == [("integration", None), ("present", EVENTS)]


async def test_a_week_is_kept_and_who_was_away_longer_begins_with_how_things_stand(
    world: World, process: Process
) -> None:
    await lived(world)
    await world.sql("UPDATE account_events SET at = at - interval '8 days' WHERE number <= 3")

    async with world.database.transaction() as connection:
        await event_log.put_away(connection)

    assert numbers(await process.read(3).until(EVENTS)) == [4, 5, 6, 7, 8]
    assert kinds(await process.read(2).next(2)) == ["integration", "present"]
    assert kinds(await process.read(0).next(2)) == ["integration", "present"]


async def test_an_account_whose_events_were_all_put_away_goes_on(world: World, process: Process) -> None:
    card = await lived(world)
    await world.sql("DELETE FROM account_events")

    reader, late = process.read(EVENTS), process.read(EVENTS - 1)
    assert kinds(await late.next(2)) == ["integration", "present"]
    await world.http.patch(f"/integrations/{card['integration_id']}", json={"label": "Sales"})

    assert numbers(await reader.next()) == [EVENTS + 1]


# when something fails


async def test_a_notification_that_is_lost_only_delays(world: World) -> None:
    deaf = Process(world.database, looks_every=0.05)
    reader = deaf.read()
    await reader.next()

    await world.add()

    assert numbers(await reader.next()) == [1]
    await deaf.close()


async def test_a_connection_that_breaks_is_made_again_and_what_was_missed_is_told(
    world: World, process: Process
) -> None:
    reader = process.read()
    await reader.next()
    hanged_up = await world.sql(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    )

    await world.add()

    assert hanged_up == [(True,)]
    assert numbers(await reader.next()) == [1]


async def test_a_stream_outlives_a_database_that_is_away_for_a_while(world: World) -> None:
    process = Process(world.database, looks_every=0.05)
    reader = process.read()
    await reader.next()
    process.database.away = True
    asked = process.database.asked
    await world.add()
    while process.database.asked < asked + 2:
        await asyncio.sleep(0.01)
    process.database.away = False

    assert numbers(await reader.next()) == [1]
    await process.close()


async def test_a_slow_reader_holds_nothing_in_memory_and_misses_nothing(world: World) -> None:
    await world.add()
    await world.sql("""
        INSERT INTO account_events SELECT account_id, number, 'sync', gen_random_uuid(), '{}', clock_timestamp()
        FROM accounts, generate_series(2, 450) AS number
    """)
    await world.sql("UPDATE accounts SET last_event = 450")
    slow, fast = Process(world.database), Process(world.database)
    reader = slow.read(0)
    reader.taking.clear()

    assert len(await fast.read(0).until(450)) == 450
    assert slow.database.asked <= 1
    reader.taking.set()

    assert numbers(await reader.until(450)) == list(range(1, 451))
    assert slow.database.asked >= 5, "a page of them at a time"
    for one in (slow, fast):
        await one.close()


async def test_readers_that_hang_up_at_any_moment_leave_nothing_behind(
    world: World, process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    await lived(world)
    for moment in range(60):
        reader = process.read(0 if moment % 2 else None)
        for _ in range(moment):
            await asyncio.sleep(0)
        await reader.go_away()

    assert caplog.records == []
    assert process.audience.count() == 0
    pool = world.database._engine.sync_engine.pool  # noqa: SLF001 - what is lent out is told nowhere else
    assert pool.checkedout() == 1, "beside the one that listens"  # type: ignore[attr-defined]  # it is a QueuePool


# who may, how many, and how it ends


async def test_a_token_that_may_not_read_opens_no_stream(process: Process) -> None:
    assert await process.read(token=ANOTHER).started() == 401
    process.tokens.issue(ANOTHER, scopes=("costs:read",))
    assert await process.read(token=ANOTHER).started() == 403
    process.tokens.issue(ANOTHER, account_ids=("account-2",))
    assert await process.read(token=ANOTHER).started() == 404


@pytest.mark.parametrize("ends", ["revoked", "expired"])
async def test_a_stream_ends_with_its_token_and_only_with_it(world: World, ends: str) -> None:
    process = Process(world.database, looks_every=0.05)
    process.tokens.issue(ANOTHER, expires_at=datetime.now(UTC) + timedelta(hours=1))
    reader, other = process.read(token=ANOTHER), process.read()
    await reader.next()
    await other.next()

    if ends == "revoked":
        process.tokens.revoke(ANOTHER)
    else:
        process.later = timedelta(hours=2)

    await reader.ended()
    await world.add()
    assert numbers(await other.next()) == [1]
    await process.close()


async def test_more_streams_than_an_account_may_have_are_refused_until_one_is_closed(process: Process) -> None:
    readers = [process.read() for _ in range(PER_ACCOUNT)]
    for reader in readers:
        await reader.next()

    refused = process.read()
    assert await refused.started() == 429
    assert int(refused.headers["retry-after"]) > 0
    assert await process.read(account_id="account-2").started() == 200

    await readers[0].go_away()
    assert await process.read().started() == 200


async def test_streams_end_when_the_process_is_about_to(process: Process) -> None:
    readers = [process.read() for _ in range(3)]
    for reader in readers:
        await reader.next()

    process.live.leave()

    for reader in readers:
        await reader.ended()
    await process.read().ended()
