"""Each benchmark, once and tiny: it measures what it names, and refuses a run that did less than it should."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from benchmarks import fleet, latency, ledger
from benchmarks.support.stack import CURRENT
from benchmarks.support.system import FAST_CALLS, Running, running_system
from benchmarks.support.teams import connect_teams

pytestmark = pytest.mark.system
TEAMS = 3


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[Running]:
    async with running_system(FAST_CALLS) as running:
        yield running


@pytest.fixture(scope="module")
async def teams(running: Running) -> list[UUID]:
    return await connect_teams(running, TEAMS)


async def test_the_ledger_stores_every_fact_and_a_replay_touches_no_row() -> None:
    report = await ledger.measure(ledger.steps(7200)[:1], 1, [CURRENT])
    fresh, replayed = report.rows
    assert fresh["ratio_to_e"]
    assert fresh["days_mb_per_million"]
    assert replayed["scenario"] == ledger.REPLAYED
    assert replayed["rows_touched"] == "0 written, none locked"


async def test_a_daily_run_misses_no_team_and_counts_the_work_of_every_process(
    running: Running, teams: list[UUID]
) -> None:
    (scenario,) = fleet.scenarios([2], defaults=False)
    row = await fleet.daily_run(running, scenario, set(teams))
    assert row["missed"] == 0
    assert {"syncer_ms", "connector_ms", "ledger_ms", "kafka_ms", "postgres_ms", "xai_ms"} <= row.keys()
    assert row["ratio_to_ideal"]


async def test_the_legs_of_a_force_sync_are_those_of_the_services(running: Running, teams: list[UUID]) -> None:
    row = await latency.force(running, teams, 2)
    assert row["p50_ms"]
    assert {"http_ms", "syncer_ms", "ledger_ms", "connector_ms"} <= row.keys()
