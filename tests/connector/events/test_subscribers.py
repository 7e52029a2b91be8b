"""Streams are woken by any connector, survive lost notifications and connections, and are limited by account."""

from connector.events.subscribers import PER_ACCOUNT

from tests.connector.support.connector import ConnectorHarness
from tests.connector.support.streams import StreamsHarness, numbers


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
