"""A deploy that fails with every message dead-letters a few, stops and reports it; the next deploy continues."""

import asyncio
import signal
from collections.abc import AsyncIterator

import httpx
import pytest
from common.kafka.dead_letter_limit import CAPACITY
from contract.topics import COSTS, DEAD_LETTERS
from grafient.dead_letters.topic import DeadLetter, dead_letters_of

from tests.faults.support.crashes import CrashingSystem, crashing_system
from tests.faults.support.fault import Fault
from tests.faults.support.load import Load
from tests.support import commands
from tests.support.system import SystemClient
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
STOPPED = f'grafient_consumer_stopped{{topic="{COSTS.name}"}} 1.0'


@pytest.fixture
async def crashing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CrashingSystem]:
    async with crashing_system(tmp_path_factory) as crashing:
        yield crashing


@pytest.fixture
def load(crashing: CrashingSystem) -> Load:
    return crashing.load


async def test_a_deploy_that_fails_with_every_message_stops_consuming_and_reports_it(
    crashing: CrashingSystem, client: SystemClient, fault: Fault
) -> None:
    async with fault("a deploy fails with every message, and another one follows"):
        with crashing.plan.broken("ledger.handlers:Handlers.costs"):
            await until(lambda: _metrics(client), lambda shown: STOPPED in shown)
            waiting = await _dead_letters(client)
            await asyncio.sleep(15)  # longer than one of the pauses after which it might dead-letter another one
            assert (await _dead_letters(client)).keys() == waiting.keys()
        client.signal("ledger", signal.SIGTERM)  # the next deploy

        await until(lambda: _metrics(client), lambda shown: STOPPED not in shown)
        assert 0 < len(waiting) <= CAPACITY
        assert {one.reason for one in waiting.values()} == {"handler_failed"}
        redriven = await _redrive(client)

    assert {one["letter"] for one in redriven} == {"redriven"}
    assert len(redriven) == len(waiting)


async def _metrics(client: SystemClient) -> str:
    async with httpx.AsyncClient(trust_env=False) as http:
        try:
            return (await http.get(f"{client.address.ledger_url}/metrics")).text
        except httpx.TransportError:
            return STOPPED  # it is being started again


async def _dead_letters(client: SystemClient) -> dict[str, DeadLetter]:
    found = dead_letters_of(await client.records(DEAD_LETTERS.name))
    return {dead_letter_id: one for dead_letter_id, one in found.items() if one.topic == COSTS.name}


async def _redrive(client: SystemClient) -> list[dict[str, str]]:
    env = {"KAFKA_BOOTSTRAP_SERVERS": client.address.kafka}
    done = await commands.grafient("dead-letters", "redrive", "--topic", COSTS.name, "--json", env=env)
    results: list[dict[str, str]] = done.json(status=done.status)
    return results
