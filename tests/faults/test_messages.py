"""Poison of every kind under load, on every topic, in front of good messages: it is put away at once, and nobody waits for it."""

import time

import pytest
from contract.topics import COSTS, Topic

from tests.faults.support.dead_letters import (
    LETTERS_WITHIN,
    LOGGED_AT_MOST,
    Letters,
    Logged,
    Written,
    handled,
    latest,
    origin_of,
    owner_in,
    said,
    sending,
)
from tests.faults.support.load import Load, Result
from tests.faults.support.poison import CONSUMERS, good, poisons

pytestmark = pytest.mark.timeout(300)
FLOOD = 1000
SMALL = 10_000
"""Bytes."""


@pytest.mark.parametrize(
    "topic",
    [pytest.param(one, marks=() if one is COSTS else pytest.mark.thorough, id=one.name) for one in CONSUMERS],
)
async def test_poison_at_the_head_of_every_partition_is_put_away_at_once_and_nobody_waits_for_it(
    load: Load, results: list[Result], topic: Topic
) -> None:
    world, owner = load.world, owner_in(load)
    pids, letters, logged = world.system.address().pids, Letters(world), Logged(world.system.logs)
    await letters.begin()
    written: list[Written] = []
    async with load.running(), sending(world) as sender:
        for poison in poisons(topic, owner):
            goods = [good(topic, owner) for _ in range(topic.partitions)]
            for partition, behind in enumerate(goods):
                written.append(await sender.poison(topic, partition, poison))
                await sender.good(topic, partition, behind)
            await handled(world, goods)
        found = await letters.of(written)

    wrong = [
        (one.poison.kind, said(found[letter_id]))
        for one in written
        for letter_id in one.letter_ids
        if (said(found[letter_id])["dead_letter_reason"], origin_of(found[letter_id]))
        != (one.poison.reason, one.origin)
    ]
    assert wrong == []
    assert logged.holds([b"consumer.stopped", *(one.poison.marker for one in written)]) == []
    most, other = logged.about(written)
    assert most + other <= LOGGED_AT_MOST
    assert latest(written, found) <= LETTERS_WITHIN
    assert world.system.address().pids == pids
    name = f"{len(written)} poisons on {topic.name}: in {latest(written, found):.1f} s, {most} B of log"
    results.append(await load.heals(name))


@pytest.mark.thorough
async def test_a_partition_full_of_poison_holds_up_no_other_one(load: Load, results: list[Result]) -> None:
    world, owner = load.world, owner_in(load)
    letters = Letters(world)
    await letters.begin()
    kinds = [one for one in poisons(COSTS, owner) if len(one.value or b"") < SMALL]
    async with load.running(), sending(world) as sender:
        written = [await sender.poison(COSTS, 0, kinds[number % len(kinds)]) for number in range(FLOOD)]
        elsewhere = [good(COSTS, owner) for _ in range(1, COSTS.partitions)]
        began = time.monotonic()
        for partition, one in enumerate(elsewhere, start=1):
            await sender.good(COSTS, partition, one)
        await handled(world, elsewhere)
        waited = time.monotonic() - began
        found = await letters.of(written)

    took = latest(written, found)
    assert max(waited, took) <= LETTERS_WITHIN
    results.append(await load.heals(f"{FLOOD} poisons on one partition: all away in {took:.1f} s"))
