"""A deploy whose every message fails stops and says so, instead of giving everything up; the next deploy goes on."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator

import httpx
import pytest
from common.kafka.dead_letter_limit import CAPACITY
from contract.topics import COSTS, DEAD_LETTERS
from grafient.dead_letters.letters import Letter, letters_of

from tests.faults.support.crashes import Crashing, crashing_system
from tests.faults.support.load import Result
from tests.support.system import SystemClient
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
STOPPED = f'consumer_stopped{{topic="{COSTS.name}"}} 1.0'


@pytest.fixture
async def crashing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Crashing]:
    async with crashing_system(tmp_path_factory) as crashing:
        yield crashing


async def test_a_deploy_that_fails_with_every_message_stops_and_says_so(
    crashing: Crashing, results: list[Result]
) -> None:
    load, world = crashing.load, crashing.load.world

    async with load.running():
        with crashing.plan.broken("ledger.handlers:Handlers.costs"):
            await until(lambda: _metrics(world), lambda shown: STOPPED in shown)
            waiting = await _letters(world)
            await asyncio.sleep(15)  # more than one of the pauses after which it would give up another one
            assert await _letters(world) == waiting
        os.kill(world.system.address().pids["ledger"], signal.SIGTERM)  # the next deploy

        await until(lambda: _metrics(world), lambda shown: STOPPED not in shown)
        assert 0 < len(waiting) <= CAPACITY
        assert {one.reason for one in waiting} == {"handler_failed"}

    redriven = await _redrive(world)
    assert {one["letter"] for one in redriven} == {"redriven"}
    assert len(redriven) == len(waiting)
    results.append(await load.heals("a deploy fails with every message, and another one follows"))


async def _metrics(world: SystemClient) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            return (await client.get(f"{world.address.ledger_url}/metrics")).text
        except httpx.TransportError:
            return STOPPED  # it is just being started again


async def _letters(world: SystemClient) -> list[Letter]:
    found = letters_of(await world.records(DEAD_LETTERS.name)).values()
    return [one for one in found if one.topic == COSTS.name]


async def _redrive(world: SystemClient) -> list[dict[str, str]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "grafient", "dead-letters", "redrive", "--topic", COSTS.name, "--json"),
        env=os.environ | {"KAFKA_BOOTSTRAP_SERVERS": world.address.kafka},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    told: list[dict[str, str]] = json.loads(output)
    return told
