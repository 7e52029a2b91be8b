"""What a service fails on is put away as well; once the cause is mended it is sent again, and what cannot be mended stays."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from contract.topics import COSTS, Topic
from grafient.main import app
from typer.testing import CliRunner

from tests.faults.support.dead_letters import (
    LETTERS_WITHIN,
    LOGGED_AT_MOST,
    Letters,
    Logged,
    handled,
    latest,
    owner_in,
    run,
    said,
    sending,
    shown,
)
from tests.faults.support.load import Load, Result
from tests.faults.support.poison import CONSUMERS, Good, Poison, good, poisons
from tests.support.system import SystemClient

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]


@asynccontextmanager
async def refused(world: SystemClient, unwanted: Good) -> AsyncIterator[None]:
    """The last of its tables does not take what the message would leave: a bug that nobody knows yet."""
    table = unwanted.tables[-1]
    await run(
        world,
        """CREATE FUNCTION public.refuses() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'data_exception'; END $$""",
        f"""CREATE TRIGGER refuses BEFORE INSERT ON {table} FOR EACH ROW
            WHEN (NEW.{unwanted.column}::text = '{unwanted.shown}') EXECUTE FUNCTION public.refuses()""",
    )
    try:
        yield
    finally:
        await run(world, "DROP FUNCTION public.refuses CASCADE")


async def _dead_letters(world: SystemClient, *arguments: str) -> Any:
    env = {"KAFKA_BOOTSTRAP_SERVERS": world.address.kafka}
    result = await asyncio.to_thread(CliRunner().invoke, app, ["dead-letters", *arguments, "--json"], env=env)
    assert result.stdout.startswith(("[", "{")), result.output
    return json.loads(result.stdout)


async def _state(world: SystemClient, letter_id: str) -> str:
    (fate,) = await _dead_letters(world, "redrive", letter_id)
    return str(fate["state"])


async def _counted(world: SystemClient, redrives: int) -> str:
    """The open letter that was sent again so often."""
    found = await _dead_letters(world, "list", "--topic", COSTS.name, "--reason", "header_unknown")
    (letter_id,) = [one["id"] for one in found if one["redrives"] == str(redrives)]
    return str(letter_id)


@pytest.mark.parametrize("topic", CONSUMERS, ids=lambda topic: topic.name)
async def test_what_a_service_fails_on_is_put_away_in_time_and_handled_once_the_cause_is_mended(
    load: Load, results: list[Result], topic: Topic
) -> None:
    world, owner = load.world, owner_in(load)
    letters, logged = Letters(world), Logged(world.system.logs)
    await letters.begin()
    bad, behind = good(topic, owner), [good(topic, owner) for _ in range(topic.partitions)]
    poison = Poison("refused", "handler_failed", bad.key.encode(), bad.value, bad.headers)
    async with load.running(), sending(world) as sender:
        async with refused(world, bad):
            written = await sender.poison(topic, 0, poison, by=(bad.tables[-1].split(".")[0],))
            for partition, one in enumerate(behind):
                await sender.good(topic, partition, one)
            ((letter_id, letter),) = (await letters.of([written])).items()
            await handled(world, behind)
        state = await _state(world, letter_id)

    assert said(letter)["dead_letter_reason"] == "handler_failed"
    assert state == ("not_kept" if topic.secret else "handled")
    assert len(await shown(world, [bad])) == (len(bad.tables) if not topic.secret else state == "handled")
    most, other = logged.about([written])
    took = latest([written], {letter_id: letter})
    assert most + other <= LOGGED_AT_MOST
    assert took <= LETTERS_WITHIN
    results.append(await load.heals(f"{topic.name} fails: dead letter in {took:.1f} s, {most} B of log"))


async def test_what_nobody_can_read_comes_back_counted_and_does_not_go_round_for_ever(
    load: Load, results: list[Result]
) -> None:
    world, letters = load.world, Letters(load.world)
    await letters.begin()
    poison = next(one for one in poisons(COSTS, owner_in(load)) if one.kind == "an unknown version")
    async with load.running(), sending(world) as sender:
        written = await sender.poison(COSTS, 0, poison)
        (letter_id,) = await letters.of([written])
        states = []
        for count in range(1, 4):
            states.append(await _state(world, letter_id))
            letter_id = await _counted(world, count)
        states.append(await _state(world, letter_id))

    assert states == ["dead_lettered_again"] * 3 + ["too_often"]
    results.append(await load.heals("an unreadable message is sent again until it is refused"))
