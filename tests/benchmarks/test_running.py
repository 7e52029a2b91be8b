"""Each benchmark, once and tiny: it measures what it names, and refuses a run that did less than it should.

Those that take long, or a whole system, are `thorough`.
"""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from benchmarks import claims, console, export, fleet, latency, ledger, looks, onboarding, reads, rotation
from benchmarks.support.stack import CURRENT, Stack, running_stack
from benchmarks.support.system import FAST_CALLS, Running, running_system
from benchmarks.support.teams import connect_teams
from tests.support.browser import chromium

pytestmark = pytest.mark.system
TEAMS = 3


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[Running]:
    async with running_system(FAST_CALLS) as running:
        yield running


@pytest.fixture(scope="module")
async def teams(running: Running) -> list[UUID]:
    return await connect_teams(running, TEAMS)


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    async with running_stack() as stack:
        yield stack


@pytest.mark.thorough
async def test_the_ledger_stores_every_fact_and_a_replay_touches_no_row(stack: Stack) -> None:
    fresh, replayed = await ledger.measure_on(stack, ledger.steps(7200)[:1], 1, [CURRENT])
    assert fresh["ratio_to_e"]
    assert fresh["days_mb_per_million"]
    assert replayed["scenario"] == ledger.REPLAYED
    assert replayed["rows_touched"] == "0 written, none locked"


@pytest.mark.thorough
async def test_costs_are_read_at_a_rate_and_from_an_account_of_many_integrations(stack: Stack) -> None:
    small, large = await reads.measure_on(stack, 7200, (2, 2), rate=20, seconds=1, runs=1)
    assert small["ratio_to_select"]
    assert large["livez_max_ms"]


@pytest.mark.thorough
async def test_the_dashboard_is_painted_for_an_account_of_one_and_of_many_integrations(running: Running) -> None:
    async with chromium() as browser:
        small, large = await console.measure_on(running, browser, integrations=3, runs=1)
    assert small["first_paint_ms"]
    assert large["console_mb"]


@pytest.mark.thorough
async def test_every_row_is_exported_and_a_dashboard_is_read(stack: Stack) -> None:
    exported, dashboard = await export.measure_on(stack, 2, 2, runs=1)
    assert exported["ratio_to_copy"]
    assert dashboard["peak_mb"]


async def test_a_claim_takes_another_window_each_time(stack: Stack) -> None:
    row = await claims.claim_among(stack, claims.CLAIMS)
    assert row["ratio_to_commit"]


@pytest.mark.thorough
async def test_a_look_is_measured_by_the_rows_that_it_reads() -> None:
    healer, *_ = (await looks.measure(2, 1)).rows
    assert int(str(healer["rows_read"])) >= 2 * looks.DAYS


@pytest.mark.thorough
async def test_a_daily_run_misses_no_team_and_counts_the_work_of_every_process(
    running: Running, teams: list[UUID]
) -> None:
    (scenario,) = fleet.scenarios([2], defaults=False)
    row = await fleet.daily_run(running, scenario, set(teams))
    assert row["missed"] == 0
    assert {"syncer_ms", "connector_ms", "ledger_ms", "kafka_ms", "postgres_ms", "xai_ms"} <= row.keys()
    assert row["ratio_to_ideal"]


@pytest.mark.thorough
async def test_the_legs_of_a_force_sync_are_those_of_the_services(running: Running, teams: list[UUID]) -> None:
    await running.broker.warm(records=2)
    row = await latency.force(running, teams, 2)
    assert row["p50_ms"]
    assert {"http_leg_ms", "syncer_leg_ms", "ledger_leg_ms", "connector_leg_ms"} <= row.keys()
    assert row["cpu_ms_a_sync"]


@pytest.mark.thorough
async def test_an_add_is_measured_by_its_answer_and_by_the_work_of_the_connector(running: Running) -> None:
    row = await onboarding.add(running, 4, 2)
    assert row["p50_ms"]
    assert row["connector_ms"]


@pytest.mark.thorough
async def test_a_rotation_is_measured_while_credentials_are_opened() -> None:
    (row,) = (await rotation.measure(100, 1)).rows
    assert row["ratio_to_update"]
    assert row["failed"] == 0
