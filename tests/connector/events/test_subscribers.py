"""Streams are woken by any connector, survive lost notifications and connections, and are limited by account."""

from connector.events.stream import READS
from connector.events.subscribers import PER_ACCOUNT

from tests.connector.support.connector import ConnectorHarness
from tests.connector.support.streams import StreamsHarness, kinds, numbers
from tests.support.waiting import until


async def test_the_streams_of_every_connector_are_woken(connector: ConnectorHarness, streams: StreamsHarness) -> None:
    async with StreamsHarness(connector.database).open() as other:
        readers = [streams.read(), other.read()]
        for reader in readers:
            await reader.next()
        await connector.add()

        assert [numbers(await reader.next()) for reader in readers] == [[1], [1]]


async def test_a_lost_notification_only_delays(connector: ConnectorHarness) -> None:
    async with StreamsHarness(connector.database, poll_every=0.05).open(listening=False) as streams:
        reader = streams.read()
        await reader.next()

        await connector.add()

        assert numbers(await reader.next()) == [1]


async def test_after_a_broken_connection_streams_are_woken_for_what_they_missed(
    connector: ConnectorHarness, streams: StreamsHarness
) -> None:
    reader = streams.read()
    await reader.next()
    terminated = await connector.sql(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    )

    await connector.add()

    assert terminated == [(True,)]
    assert numbers(await reader.next()) == [1]


async def test_one_stream_more_than_an_account_may_open_is_refused_until_one_is_closed(
    streams: StreamsHarness,
) -> None:
    readers = [streams.read() for _ in range(PER_ACCOUNT)]
    for reader in readers:
        await reader.next()

    refused = streams.read()
    assert await refused.started() == 429
    assert int(refused.headers["retry-after"]) > 0
    assert await streams.read(account_id="account-2").started() == 200

    await readers[0].hang_up()
    assert await streams.read().started() == 200


async def test_the_place_of_a_stream_is_free_when_its_socket_is_whatever_it_waits_for(
    connector: ConnectorHarness,  # noqa: ARG001 - its tables
    streams: StreamsHarness,
) -> None:
    streams.database.answers.clear()
    for _ in range(3):
        readers = [streams.read() for _ in range(PER_ACCOUNT)]
        assert [await reader.started() for reader in readers] == [200] * PER_ACCOUNT
        for reader in readers:
            reader.reset()
        await until(lambda: streams.subscribers.count() == 0)
    streams.database.answers.set()


async def test_streams_leave_connections_of_the_database_to_requests(
    connector: ConnectorHarness,  # noqa: ARG001 - its tables
    streams: StreamsHarness,
) -> None:
    streams.database.answers.clear()
    readers = [streams.read(account_id=f"account-{number}") for number in range(30)]
    for reader in readers:
        await reader.started()
    await until(lambda: streams.database.open == READS)
    assert streams.database.transactions == READS

    streams.database.answers.set()

    for reader in readers:
        assert kinds(await reader.next()) == ["present"]
