"""Messages that come again: changed, a thousand times, in the wrong order. What stands is what is true."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from contract.fields import Trigger
from contract.messages import CostRecorded, RenameIntegration, SyncRequested
from contract.topics import COMMANDS_TOPIC, COSTS, CREDENTIALS, INTEGRATIONS, SYNC_OUTCOMES, SYNC_REQUESTS, Topic

from tests.faults.support.dead_letters import answers, handled, outcomes, owner_in, sending, shown
from tests.faults.support.load import Load, Result
from tests.faults.support.poison import CONSUMERS, Good, good, otherwise, plain, window_of
from tests.support.system import SystemClient
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
COPIES = 1000
AT_ONCE = 250
"""Of them, before somebody looks whether they have been handled."""
REORDERED = {COSTS: 3000, INTEGRATIONS: 200, SYNC_REQUESTS: 200, SYNC_OUTCOMES: 200, CREDENTIALS: 200}
"""So many of the newest records of a topic come again."""


async def _stands(world: SystemClient, one: Good) -> list[dict[str, Any]]:
    """The rows that the message left, once all is done that follows from it."""
    await handled(world, [one])
    return await until(lambda: shown(world, [one]), lambda rows: all(row.get("published_at", "told") for row in rows))


@pytest.mark.parametrize("topic", CONSUMERS, ids=lambda topic: topic.name)
@pytest.mark.parametrize("copies", [1, COPIES], ids=["one", "a thousand"])
async def test_copies_of_a_message_that_say_something_else_change_nothing(
    load: Load, results: list[Result], topic: Topic, copies: int
) -> None:
    world, owner = load.world, owner_in(load)
    first = good(topic, owner)
    async with load.running(), sending(world) as sender:
        await sender.good(topic, 0, first)
        before = await _stands(world, first)
        for number in range(0, copies, AT_ONCE):
            behind = good(topic, owner)
            await sender.good(topic, 0, otherwise(topic, first))
            await sender.good(topic, 0, first, copies=min(AT_ONCE, copies - number))
            await sender.good(topic, 0, behind)
            await handled(world, [behind])

    assert await shown(world, [first]) == before
    results.append(await load.heals(f"an ID of {topic.name} comes {copies} times more, with other content"))


async def test_two_tellings_of_one_reading_are_found_out(load: Load, results: list[Result]) -> None:
    world, owner = load.world, owner_in(load)
    first = good(COSTS, owner)
    told = otherwise(COSTS, first).message
    assert isinstance(told, CostRecorded)
    window = window_of(told)
    async with load.running(), sending(world) as sender:
        await sender.good(COSTS, 0, first)
        for message in (told, window):
            await sender.good(COSTS, 0, plain(message, first.key))
        (judged,) = await outcomes(world, told.reading_id)

    assert judged["reconciled"] is False
    assert judged["unreconciled_days"] == [str(told.day)]
    results.append(await load.heals("one reading says two things of a day"))


async def test_a_thousand_copies_of_a_wish_end_once_and_of_a_command_change_once(
    load: Load, results: list[Result]
) -> None:
    world, (team, integration_id) = load.world, load.teams[0]
    wish_id, now = uuid4().hex, datetime.now(UTC)
    wish = SyncRequested(
        request_id=wish_id, trigger=Trigger.FORCE, integration_id=UUID(integration_id), requested_at=now
    )
    rename = RenameIntegration(
        command_id=uuid4().hex,
        account_id=team.account_id,
        integration_id=UUID(integration_id),
        label=f"Named {wish_id}",
        expires_at=now + timedelta(hours=1),
    )
    version = "SELECT version FROM connector.integrations WHERE integration_id = %s AND label = %s"
    ((before,),) = await world.rows(version.removesuffix(" AND label = %s"), integration_id)
    async with load.running(), sending(world) as sender:
        load.accepted[wish_id] = integration_id
        for _ in range(0, COPIES, AT_ONCE):
            await sender.good(SYNC_REQUESTS, 0, plain(wish, integration_id), copies=AT_ONCE)
            await sender.good(COMMANDS_TOPIC, 0, plain(rename, team.account_id), copies=AT_ONCE)
            await world.consumed(f"syncer.{SYNC_REQUESTS.name}", SYNC_REQUESTS.name)
            await world.consumed(f"connector.{COMMANDS_TOPIC.name}", COMMANDS_TOPIC.name)
        await until(lambda: world.rows(version, integration_id, rename.label))

    results.append(await load.heals("a thousand copies of a wish, and of a command"))
    assert await world.rows(version, integration_id, rename.label) == [(before + 1,)]
    assert len(await answers(world, rename.command_id)) == 1


async def test_the_newest_stands_when_every_partition_comes_again_in_the_wrong_order(
    load: Load, results: list[Result]
) -> None:
    world, mine = load.world, {integration_id.encode() for _, integration_id in load.teams}
    for team, integration_id in load.teams:
        path = f"/accounts/{team.account_id}/integrations/{integration_id}"
        for label in ("Former", "Newest"):
            assert (await world.request("PATCH", path, {"label": label})).status_code == 200
    states = (
        "SELECT integration_id, version, label FROM ledger.integrations WHERE integration_id::text = ANY(%s) ORDER BY 1"
    )
    ids = [integration_id for _, integration_id in load.teams]
    newest = await until(lambda: world.rows(states, ids), lambda rows: {row[2] for row in rows} == {"Newest"})
    async with load.running(), sending(world) as sender:
        for topic, count in REORDERED.items():
            kept = [one for one in await world.records(topic.name) if one.key in mine]
            await sender.again(_backwards(kept[-count:]))

    results.append(await load.heals("every partition comes again in the wrong order"))
    assert await world.rows(states, ids) == newest


def _backwards(records: list[Any]) -> list[Any]:
    partitions = defaultdict(list)
    for one in records:
        partitions[one.partition].append(one)
    return [one for partition in partitions.values() for one in reversed(partition)]
