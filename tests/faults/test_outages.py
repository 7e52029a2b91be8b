"""All of xAI is unavailable: it is hardly called meanwhile; afterwards every missed day is read by itself."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from contract.topics import SYNC_OUTCOMES

from tests.faults.support.fault import Fault
from tests.faults.support.load import Load, system_under_load
from tests.support.system import SystemClient
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
TEAMS = 12
"""More than either circuit breaker needs to open."""
IN_FLIGHT = 8
FAULTS: dict[str, dict[str, Any]] = {
    "responds with 503": {"status": 503},
    "refuses every key": {"status": 401},
    "resets connections": {"reset": True},
}
DAYS = 19
MISS = (
    "DELETE FROM syncer.coverage WHERE day BETWEEN current_date - 20 AND current_date - 2 RETURNING 1",
    "DELETE FROM ledger.days WHERE day BETWEEN current_date - 20 AND current_date - 2 RETURNING 1",
)
IS_DUE = "SELECT FROM syncer.windows WHERE closed_at IS NULL AND decision IS NULL AND due_at < clock_timestamp()"
STORED = "SELECT count(*) FROM ledger.days WHERE day BETWEEN current_date - 20 AND current_date - 2"


@pytest.fixture(scope="module")
async def load(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Load]:
    async with system_under_load(tmp_path_factory.mktemp("outages"), teams=TEAMS) as load:
        yield load


@pytest.mark.parametrize("how", FAULTS)
async def test_after_an_outage_of_all_of_xai_every_missed_day_is_read_without_a_request(
    load: Load, fault: Fault, how: str
) -> None:
    client = load.client
    await client.consumed("syncer", SYNC_OUTCOMES)  # or a day is confirmed after it was made unread

    async with fault(f"all of xAI {how}, for {TEAMS} teams", under_load=False):
        await client.control("POST", "/faults", {"times": None, **FAULTS[how]})
        for table in MISS:
            assert len(await client.rows(table)) == TEAMS * DAYS
        await until(lambda: _open_circuits(client))
        before = await _calls(load)
        await until(lambda: client.rows(IS_DUE))  # a minute after a first refusal
        after = await until(lambda: _calls(load), lambda calls: calls > before)
        assert after - before <= IN_FLIGHT + 1  # those in flight, and a probe
        await client.clear_faults()
        await until(lambda: client.rows(STORED), lambda days: days == [(TEAMS * DAYS,)])
        assert await _open_circuits(client) == 0


async def _calls(load: Load) -> int:
    return sum([len(await load.client.calls(team)) for team, _ in load.teams])


async def _open_circuits(client: SystemClient) -> int:
    """How many circuits the syncer's metrics show as open."""
    async with httpx.AsyncClient(trust_env=False) as http:
        shown = (await http.get(f"{client.address.syncer_url}/metrics")).text
    circuits = [line for line in shown.splitlines() if line.startswith("grafient_xai_circuit_open{")]
    return sum(not line.endswith(" 0.0") for line in circuits)
