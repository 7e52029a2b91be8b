"""Poison of every kind on every topic, before valid messages: it is dead-lettered in time, and delays nothing."""

import time

import pytest
from contract.topics import COSTS, Topic

from tests.faults.support.dead_letters import WITHIN, dead_letters_from_now, headers_of, latest, origin_of
from tests.faults.support.fault import Fault
from tests.faults.support.load import Load
from tests.faults.support.sending import Written, sending
from tests.faults.support.service_logs import LOGGED_AT_MOST, ServiceLogs
from tests.faults.support.valid import handled, valid
from tests.support.poison import CONSUMERS, poisons

pytestmark = pytest.mark.timeout(300)
FLOOD = 1000


@pytest.mark.parametrize(
    "topic",
    [pytest.param(one, marks=() if one is COSTS else pytest.mark.thorough, id=one.name) for one in CONSUMERS],
)
async def test_poison_on_every_partition_is_dead_lettered_in_time_and_nothing_waits_for_it(
    load: Load, fault: Fault, topic: Topic
) -> None:
    client, pids = load.client, load.client.system.address().pids
    dead_letters, logs = await dead_letters_from_now(client), ServiceLogs(client.system.logs)
    written: list[Written] = []

    async with fault(f"poison of every kind on {topic.name}") as row, sending(client) as sender:
        for poison in poisons(topic):
            behind = [valid(topic, load) for _ in range(topic.partitions)]
            for partition, one in enumerate(behind):
                written.append(await sender.poison(topic, partition, poison))
                await sender.valid(topic, partition, one)
            await handled(client, behind)
        found = await dead_letters.of(written)
        row.note(f"{len(written)} records in {latest(written, found):.1f} s")
        row.note(f"{logs.bytes_of(written)} B of log")

    assert [
        one.poison.kind
        for one in written
        for letter in (found[dead_letter_id] for dead_letter_id in one.dead_letter_ids)
        if (headers_of(letter)["dead_letter_reason"], origin_of(letter)) != (one.poison.reason, one.origin)
    ] == []
    assert logs.lines_with([b"consumer.stopped", *(one.poison.marker for one in written)]) == []
    assert logs.bytes_of(written) <= LOGGED_AT_MOST
    assert latest(written, found) <= WITHIN
    assert client.system.address().pids == pids


@pytest.mark.thorough
async def test_a_partition_full_of_poison_delays_no_other_one(load: Load, fault: Fault) -> None:
    dead_letters = await dead_letters_from_now(load.client)
    kinds = [one for one in poisons(COSTS) if one.is_small]

    async with fault(f"{FLOOD} poison records on one partition") as row, sending(load.client) as sender:
        written = [await sender.poison(COSTS, 0, kinds[number % len(kinds)]) for number in range(FLOOD)]
        elsewhere = [valid(COSTS, load) for _ in range(1, COSTS.partitions)]
        began = time.monotonic()
        for partition, one in enumerate(elsewhere, start=1):
            await sender.valid(COSTS, partition, one)
        await handled(load.client, elsewhere)
        waited = time.monotonic() - began
        took = latest(written, await dead_letters.of(written))
        row.note(f"dead-lettered in {took:.1f} s")

    assert max(waited, took) <= WITHIN
