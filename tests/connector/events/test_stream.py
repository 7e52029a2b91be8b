"""A stream has every event once, in order, from any connector, and nothing of another account."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from connector.events import event_log
from connector.events.schemas import AnyEvent
from connector.housekeeping import KEEP_EVENTS
from pydantic import TypeAdapter

from tests.connector.support.connector import ConnectorHarness, team_of
from tests.connector.support.streams import EVENTS, StreamsHarness, kinds, make_history, numbers, rename
from tests.support.waiting import others_have_run

DATA: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)
ANOTHER = "another-obviously-fake-token"
SNAPSHOT = ["integration", "present"]


async def test_a_new_stream_begins_with_a_snapshot_and_continues_with_events(
    connector: ConnectorHarness, streams: StreamsHarness
) -> None:
    card = await connector.add()
    reader = streams.read()

    state, end = await reader.next(2)
    await rename(connector, card)
    (renamed,) = await reader.next()

    assert (state.kind, state.number, state.data["label"]) == ("integration", None, card["label"])
    assert (end.kind, end.number) == ("present", 1)
    assert end.data == {"integration_ids": [card["integration_id"]]}
    assert (renamed.kind, renamed.number, renamed.data["label"]) == ("integration", 2, "Research")
    assert reader.headers["content-type"].startswith("text/event-stream")
    assert reader.body.startswith("retry: ")


async def test_the_data_of_every_event_is_as_documented(connector: ConnectorHarness, streams: StreamsHarness) -> None:
    await make_history(connector)

    events = [*await streams.read(0).next(EVENTS), *await streams.read().next(2)]

    assert {one.kind for one in events} == {"integration", "sync", "present"}
    for one in events:
        DATA.validate_python(one.data | {"event": one.kind})


async def test_the_stream_of_a_new_account_has_its_first_integration(
    connector: ConnectorHarness, streams: StreamsHarness
) -> None:
    reader = streams.read()
    (end,) = await reader.next()

    await connector.add()

    assert (end.number, end.data) == (0, {"integration_ids": []})
    assert (await reader.next())[0].number == 1


async def test_a_snapshot_has_a_removed_integration_with_a_kept_history(
    connector: ConnectorHarness, streams: StreamsHarness
) -> None:
    kept, erased = [await connector.add(team_id=team_of(team)) for team in ("kept", "erased")]
    await connector.remove(kept)
    await connector.remove(erased, "erase")

    state, end = await streams.read().next(2)

    assert (state.data["status"], state.data["history"]) == ("removed", "keep")
    assert end.data["integration_ids"] == [kept["integration_id"]]


async def test_an_account_gets_nothing_of_another_one(connector: ConnectorHarness, streams: StreamsHarness) -> None:
    reader = streams.read(account_id="account-2")
    await reader.next()
    await make_history(connector)
    before = streams.database.transactions

    await connector.sql("INSERT INTO accounts (account_id, plan) VALUES ('account-2', 'free')")
    await connector.sql(
        "INSERT INTO account_events SELECT 'account-2', 1, 'integration', gen_random_uuid(), json_build_object('a', 1), now()"
    )
    await connector.sql("UPDATE accounts SET last_event = 1 WHERE account_id = 'account-2'")
    await connector.sql(f"SELECT pg_notify('{event_log.CHANNEL}', 'account-2')")

    assert [(one.number, one.data) for one in await reader.next()] == [(1, {"a": 1})]
    assert streams.database.transactions == before + 1


# to resume


async def test_a_stream_resumes_after_any_event_without_a_gap(
    connector: ConnectorHarness, streams: StreamsHarness
) -> None:
    card = await make_history(connector)
    whole = await streams.read(0).until(EVENTS)

    assert numbers(whole) == list(range(1, EVENTS + 1))
    for number in range(EVENTS):
        assert await streams.read(number).until(EVENTS) == whole[number:]
    reader = streams.read(EVENTS)
    await rename(connector, card, "Sales")
    assert numbers(await reader.next()) == [EVENTS + 1]


@pytest.mark.parametrize("last_event_id", ["", "abc", "-1", "1.0", "²", "9" * 18, "9" * 5000, str(EVENTS + 1)])
async def test_an_id_that_never_existed_begins_with_a_snapshot(
    connector: ConnectorHarness, streams: StreamsHarness, last_event_id: str
) -> None:
    await make_history(connector)

    events = await streams.read(last_event_id).next(2)

    assert [(one.kind, one.number) for one in events] == [("integration", None), ("present", EVENTS)]


async def test_an_id_before_a_deleted_event_begins_with_a_snapshot(
    connector: ConnectorHarness, streams: StreamsHarness
) -> None:
    card = await make_history(connector)
    await connector.sql("UPDATE account_events SET at = at - interval '8 days' WHERE number <= 3")
    async with connector.database.transaction() as connection:
        await event_log.delete_expired(connection, KEEP_EVENTS)

    assert numbers(await streams.read(3).until(EVENTS)) == [4, 5, 6, 7, 8]
    assert kinds(await streams.read(2).next(2)) == SNAPSHOT
    assert kinds(await streams.read(0).next(2)) == SNAPSHOT

    await connector.sql("DELETE FROM account_events")
    reader = streams.read(EVENTS)
    assert kinds(await streams.read(EVENTS - 1).next(2)) == SNAPSHOT
    await rename(connector, card, "Sales")
    assert numbers(await reader.next()) == [EVENTS + 1]


# when something fails


async def test_a_stream_outlives_an_outage_of_the_database(connector: ConnectorHarness) -> None:
    async with StreamsHarness(connector.database, poll_every=0.05).open(listening=False) as streams:
        reader = streams.read()
        await reader.next()
        streams.database.unavailable = True
        before = streams.database.transactions
        await connector.add()
        while streams.database.transactions < before + 2:
            await asyncio.sleep(0.01)
        streams.database.unavailable = False

        assert numbers(await reader.next()) == [1]


async def test_a_slow_reader_holds_nothing_in_memory_and_misses_nothing(connector: ConnectorHarness) -> None:
    await connector.add()
    await connector.sql("""
        INSERT INTO account_events SELECT account_id, number, 'sync', gen_random_uuid(), json_build_object('a', 1), now()
        FROM accounts, generate_series(2, 450) AS number
    """)
    await connector.sql("UPDATE accounts SET last_event = 450")
    slow, fast = (StreamsHarness(connector.database).open(listening=False) for _ in range(2))
    async with slow as slow_streams, fast as fast_streams:
        reader = slow_streams.read(0)
        reader.reading.clear()

        assert len(await fast_streams.read(0).until(450)) == 450
        assert slow_streams.database.transactions <= 1
        reader.reading.set()

        assert numbers(await reader.until(450)) == list(range(1, 451))
        assert slow_streams.database.transactions >= 5, "a page at a time"


async def test_readers_that_hang_up_at_any_moment_leave_nothing_behind(
    connector: ConnectorHarness, streams: StreamsHarness, caplog: pytest.LogCaptureFixture
) -> None:
    await make_history(connector)
    for moment in range(60):
        reader = streams.read(0 if moment % 2 else None)
        await others_have_run(moment)
        await reader.hang_up()

    assert caplog.records == []
    assert streams.subscribers.count() == 0
    pool = connector.database._engine.sync_engine.pool  # noqa: SLF001 - only the pool knows its connections
    kept = len(connector.database._direct._idle)  # noqa: SLF001 - of those that are without a transaction
    assert pool.checkedout() == kept + 1, "beside the one that listens"  # type: ignore[attr-defined]  # it is a QueuePool


# authorization, and the end


async def test_a_token_that_may_not_read_opens_no_stream(streams: StreamsHarness) -> None:
    assert await streams.read(token=ANOTHER).started() == 401
    streams.issue(ANOTHER, scopes=("costs:read",))
    assert await streams.read(token=ANOTHER).started() == 403
    streams.issue(ANOTHER, account_ids=("account-2",))
    assert await streams.read(token=ANOTHER).started() == 404


@pytest.mark.parametrize("ends", ["revoked", "expired"])
async def test_a_stream_ends_with_its_token_and_only_with_it(connector: ConnectorHarness, ends: str) -> None:
    async with StreamsHarness(connector.database, poll_every=0.05).open(listening=False) as streams:
        streams.issue(ANOTHER, expires_at=datetime.now(UTC) + timedelta(hours=1))
        reader, other = streams.read(token=ANOTHER), streams.read()
        await reader.next()
        await other.next()

        if ends == "revoked":
            streams.revoke(ANOTHER)
        else:
            streams.later = timedelta(hours=2)

        await reader.ended()
        await connector.add()
        assert numbers(await other.next()) == [1]


async def test_streams_end_when_the_process_is_about_to(streams: StreamsHarness) -> None:
    readers = [streams.read() for _ in range(3)]
    for reader in readers:
        await reader.next()

    streams.routes.leave()

    for reader in readers:
        await reader.ended()
    await streams.read().ended()
