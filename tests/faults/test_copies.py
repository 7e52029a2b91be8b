"""Messages that come again: changed, a thousand times, in the wrong order. They change nothing."""

from collections import defaultdict
from typing import Any
from uuid import uuid4

import pytest
from contract.messages import CostRecorded, RenameIntegration
from contract.topics import COMMANDS_TOPIC, COSTS, CREDENTIALS, INTEGRATIONS, SYNC_OUTCOMES, SYNC_REQUESTS, Topic

from tests.faults.support.fault import Fault
from tests.faults.support.load import Load
from tests.faults.support.results import command_results, outcomes_of
from tests.faults.support.sending import sending
from tests.faults.support.valid import Valid, contradicting, handled, rows_of, valid, without_rows
from tests.support.messages import command, sync_requested, window_read
from tests.support.poison import CONSUMERS
from tests.support.system import SystemClient
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
COPIES = 1000
AT_ONCE = 250
"""Copies between two checks that they have been handled."""
REORDERED = {COSTS: 3000, INTEGRATIONS: 200, SYNC_REQUESTS: 200, SYNC_OUTCOMES: 200, CREDENTIALS: 200}
"""So many of the newest records of a topic come again."""


async def _settled(client: SystemClient, one: Valid) -> list[dict[str, Any]]:
    """The rows that the message left, once all that follows from it is done."""
    await handled(client, [one])
    return await until(
        lambda: rows_of(client, [one]), lambda rows: all(row.get("published_at", "never") for row in rows)
    )


@pytest.mark.parametrize("topic", CONSUMERS, ids=lambda topic: topic.name)
@pytest.mark.parametrize("copies", [1, COPIES], ids=["one", "a thousand"])
async def test_copies_of_a_message_with_other_content_change_nothing(
    load: Load, fault: Fault, topic: Topic, copies: int
) -> None:
    client, first = load.client, valid(topic, load)

    async with fault(f"an ID of {topic.name} comes {copies} times more, with other content"), sending(client) as sender:
        await sender.valid(topic, 0, first)
        before = await _settled(client, first)
        for number in range(0, copies, AT_ONCE):
            behind = valid(topic, load)
            await sender.valid(topic, 0, contradicting(topic, first))
            await sender.valid(topic, 0, first, copies=min(AT_ONCE, copies - number))
            await sender.valid(topic, 0, behind)
            await handled(client, [behind])

    again = {"published_at"} if topic is COMMANDS_TOPIC else set()  # of a command sent again, after a minute
    assert [_without(row, again) for row in await rows_of(client, [first])] == [_without(row, again) for row in before]


def _without(row: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


async def test_one_reading_with_two_contents_is_not_reconciled(load: Load, fault: Fault) -> None:
    first = valid(COSTS, load)
    other = contradicting(COSTS, first).message
    assert isinstance(other, CostRecorded)

    async with fault("one reading has two contents of a day"), sending(load.client) as sender:
        await sender.valid(COSTS, 0, first)
        for message in (other, window_read(other)):
            await sender.valid(COSTS, 0, without_rows(message, first.key))
        (outcome,) = await outcomes_of(load.client, other.reading_id)

    assert outcome["reconciled"] is False
    assert outcome["unreconciled_days"] == [str(other.day)]


async def test_a_thousand_copies_of_a_request_end_once_and_of_a_command_change_once(load: Load, fault: Fault) -> None:
    client, (team, integration_id) = load.client, load.teams[0]
    request = sync_requested(integration_id)
    about = {"account_id": team.account_id, "integration_id": integration_id}
    rename = command(RenameIntegration, **about, label=f"Named {uuid4()}")
    version = "SELECT version FROM connector.integrations WHERE integration_id = %s AND label = %s"
    ((before,),) = await client.rows(version.removesuffix(" AND label = %s"), integration_id)

    async with fault("a thousand copies of a request, and of a command"), sending(client) as sender:
        load.accepted[request.request_id] = integration_id
        for _ in range(0, COPIES, AT_ONCE):
            await sender.valid(SYNC_REQUESTS, 0, without_rows(request, integration_id), copies=AT_ONCE)
            await sender.valid(COMMANDS_TOPIC, 0, without_rows(rename, team.account_id), copies=AT_ONCE)
            await client.consumed("syncer", SYNC_REQUESTS)
            await client.consumed("connector", COMMANDS_TOPIC)
        await until(lambda: client.rows(version, integration_id, rename.label))

    assert await client.rows(version, integration_id, rename.label) == [(before + 1,)]
    assert len(await command_results(client, rename.command_id)) == 1


async def test_the_newest_state_remains_when_every_partition_comes_again_in_the_wrong_order(
    load: Load, fault: Fault
) -> None:
    client, ids = load.client, [integration_id for _, integration_id in load.teams]
    keys = {integration_id.encode() for integration_id in ids}
    for team, integration_id in load.teams:
        path = f"/accounts/{team.account_id}/integrations/{integration_id}"
        for label in ("Former", "Newest"):
            assert (await client.request("PATCH", path, {"label": label})).status_code == 200
    states = (
        "SELECT integration_id, version, label FROM ledger.integrations WHERE integration_id::text = ANY(%s) ORDER BY 1"
    )
    newest = await until(lambda: client.rows(states, ids), lambda rows: {row[2] for row in rows} == {"Newest"})

    async with fault("every partition comes again in the wrong order"), sending(client) as sender:
        for topic, count in REORDERED.items():
            kept = [one for one in await client.records(topic.name) if one.key in keys]
            await sender.again(_backwards(kept[-count:]))

    assert await client.rows(states, ids) == newest


def _backwards(records: list[Any]) -> list[Any]:
    partitions = defaultdict(list)
    for one in records:
        partitions[one.partition].append(one)
    return [one for partition in partitions.values() for one in reversed(partition)]
