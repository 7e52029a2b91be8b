"""Who shows a certificate that is not xAI's gets no key, and what was missed meanwhile is read when it is right again."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from contract.problems import CAUSES, Code
from grafient.local.processes import free_ports
from grafient.local.system import System

from tests.faults.support.failing_xai import card_of, line_of
from tests.faults.support.load import SETTINGS, Load, Result
from tests.support.system import SystemClient
from tests.support.tls import WRONG, Gate, right

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True)
class Guarded:
    """Load on services that reach xAI over TLS."""

    load: Load
    gate: Gate


class GuardedSystem(System):
    """The services trust the gate's authority only, and know xAI by its address."""

    def __init__(self, folder: Path, port: int, gate: Gate) -> None:
        trust = {"XAI_BASE_URL": gate.url, "PYTHONPATH": str(gate.trusted_by(folder / "trust"))}
        super().__init__(folder, lambda _text: None, delay_ms=5, settings=SETTINGS | trust)
        self._ports["simulator"] = port
        self._xai_url = self.url_of("simulator")


@pytest.fixture(scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    """Three teams on a system of their own."""
    (port,) = free_ports(1)
    gate = Gate(port)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(gate.open())
        system = GuardedSystem(tmp_path_factory.mktemp("certificates"), port, gate)
        stack.push_async_callback(system.stop)
        await system.start()
        load = Load(await stack.enter_async_context(SystemClient(system)))
        await load.connect(3)
        yield Guarded(load, gate)


@pytest.mark.parametrize("wrong", WRONG)
async def test_no_key_is_told_where_the_certificate(guarded: Guarded, results: list[Result], wrong: str) -> None:
    load, gate, victim, since = guarded.load, guarded.gate, guarded.load.teams[0], datetime.now(UTC)
    code = Code.XAI_UNAVAILABLE
    gate.shows(WRONG[wrong])
    async with load.running():
        await load.force(*victim)
        await line_of(load.world, victim, code, since)
        card = await card_of(load.world, victim, code)
        tested = await _test_connection(load.world)
        assert gate.greeted > 0
        assert gate.heard == 0
        gate.shows(right)

    assert (card["status"], card["status_text"]) == ("active", CAUSES[code].title)
    assert tested == (False, code)
    results.append(await load.heals(f"xAI's certificate {wrong}"))


async def _test_connection(world: SystemClient) -> tuple[bool, str]:
    team = await world.team()
    body = {"team_id": team.team_id, "management_key": team.key}
    said = (await world.request("POST", f"/accounts/{team.account_id}/integrations/test", body)).json()
    return said["ok"], said["code"]
