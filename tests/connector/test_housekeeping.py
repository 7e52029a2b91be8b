"""What is deleted, after how long, and what is left alone; a marker for each partition of the credentials."""

from datetime import timedelta

import pytest
from common.errors import TransientError
from common.watchdog import Watchdog
from connector.housekeeping import KEEP_COMMANDS, KEEP_EVENTS, KEEP_SYNCS, Housekeeping

from tests.connector.support.commands import CommandsHarness, change_plan
from tests.connector.support.connector import ConnectorHarness, last_day
from tests.connector.support.streams import EVENTS, make_history

A_MINUTE = timedelta(minutes=1)


def housekeeping(connector: ConnectorHarness) -> Housekeeping:
    return Housekeeping(connector.database, connector.publisher, Watchdog())


async def test_old_syncs_are_deleted_except_those_of_the_backfill(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)
    days = [last_day(card) + timedelta(days=number) for number in (2, 3)]
    for day in days:
        await connector.completed(card, hours=72, first_day=day, last_day=day)
    age = "UPDATE syncs SET recorded_at = recorded_at - CAST(:age AS interval)"
    await connector.sql(f"{age} WHERE first_day <> :day", age=KEEP_SYNCS + A_MINUTE, day=days[1])
    await connector.sql(f"{age} WHERE first_day = :day", age=KEEP_SYNCS - A_MINUTE, day=days[1])

    await housekeeping(connector).delete_expired()

    kept = [row.first_day for row in await connector.sql("SELECT first_day FROM syncs ORDER BY 1")]
    assert (len(kept), kept[1]) == (2, days[1])
    assert (await connector.card(card))["backfill"]["days_read"] == 30


async def test_old_events_are_deleted_without_a_gap_even_where_the_clock_was_set_back(
    connector: ConnectorHarness,
) -> None:
    await make_history(connector)
    age = "UPDATE account_events SET at = at - CAST(:age AS interval)"
    await connector.sql(f"{age} WHERE number IN (1, 3)", age=KEEP_EVENTS + A_MINUTE)
    await connector.sql(f"{age} WHERE number = 5", age=KEEP_EVENTS - A_MINUTE)

    await housekeeping(connector).delete_expired()

    assert await connector.sql("SELECT min(number), count(*) FROM account_events") == [(4, EVENTS - 3)]


async def test_commands_are_deleted_once_they_cannot_arrive_again(commands: CommandsHarness) -> None:
    await commands.do(*map(change_plan, ("old", "recent", "unpublished")))
    age = "UPDATE commands SET received_at = received_at - CAST(:age AS interval) WHERE command_id"
    await commands.connector.sql(f"{age} <> 'recent'", age=KEEP_COMMANDS + A_MINUTE)
    await commands.connector.sql(f"{age} = 'recent'", age=KEEP_COMMANDS - A_MINUTE)
    await commands.connector.sql("UPDATE commands SET published_at = NULL WHERE command_id = 'unpublished'")

    await housekeeping(commands.connector).delete_expired()

    kept = await commands.connector.sql("SELECT command_id FROM commands ORDER BY 1")
    assert kept == [("recent",), ("unpublished",)]


async def test_each_partition_of_the_credentials_gets_a_marker(connector: ConnectorHarness) -> None:
    await housekeeping(connector).clean_up()

    assert [one.partition for one in connector.publisher.of("xai.credentials.v1")] == [*range(6)]


async def test_what_expired_is_deleted_while_the_broker_is_unavailable(connector: ConnectorHarness) -> None:
    await make_history(connector)
    await connector.sql("UPDATE account_events SET at = at - CAST(:age AS interval)", age=KEEP_EVENTS + A_MINUTE)
    connector.publisher.available(available=False)

    with pytest.raises(TransientError):
        await housekeeping(connector).clean_up()

    assert await connector.sql("SELECT 1 FROM account_events") == []
