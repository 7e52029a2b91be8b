"""All of xAI is away, for everybody: it is hardly asked meanwhile, and afterwards every day that was missed is read by itself."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.faults.support.load import Load, Result, load_on
from tests.support.system import SystemClient
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
TEAMS = 12
"""More than either circuit needs to open."""
IN_FLIGHT = 8
FAULTS: dict[str, dict[str, Any]] = {
    "answers 503": {"status": 503},
    "refuses every key": {"status": 401},
    "resets connections": {"reset": True},
}
DAYS = 19
MISS = (
    "DELETE FROM syncer.coverage WHERE day BETWEEN current_date - 20 AND current_date - 2 RETURNING 1",
    "DELETE FROM ledger.days WHERE day BETWEEN current_date - 20 AND current_date - 2 RETURNING 1",
)
THERE = "SELECT count(*) FROM ledger.days WHERE day BETWEEN current_date - 20 AND current_date - 2"


@pytest.fixture(scope="module")
async def many(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Load]:
    """Many teams on a system of their own."""
    async with load_on(tmp_path_factory.mktemp("outages"), teams=TEAMS) as load:
        yield load


@pytest.mark.parametrize("how", FAULTS)
async def test_after_an_outage_of_all_of_xai_every_missed_day_is_read_without_anyone_asking(
    many: Load, results: list[Result], how: str
) -> None:
    world = many.world
    await world.control("POST", "/faults", {"times": None, **FAULTS[how]})
    for table in MISS:
        assert len(await world.rows(table)) == TEAMS * DAYS

    await until(lambda: _open_circuits(world))
    before = await _calls(many)
    after = await until(lambda: _calls(many), lambda calls: calls > before)
    assert after - before <= IN_FLIGHT + 1  # what was on its way, and a probe
    await world.clear_faults()

    await until(lambda: world.rows(THERE), lambda days: days == [(TEAMS * DAYS,)])
    assert await _open_circuits(world) == 0
    results.append(await many.heals(f"all of xAI {how}, for {TEAMS} teams"))


async def _calls(load: Load) -> int:
    return sum([len(await load.world.calls(team)) for team, _ in load.teams])


async def _open_circuits(world: SystemClient) -> int:
    """How many the syncer says are open."""
    async with httpx.AsyncClient(trust_env=False) as client:
        shown = (await client.get(f"{world.address.syncer_url}/metrics")).text
    return shown.count("\nxai_circuit_open{") - sum(
        line.endswith(" 0.0") for line in shown.splitlines() if line.startswith("xai_circuit_open{")
    )
