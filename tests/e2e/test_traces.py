"""What a collector of OpenTelemetry receives from the whole system."""

import re
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.support.collector import Collector, SeenSpan
from tests.support.system import SystemClient, running_system
from tests.support.waiting import until
from tests.support.xai import Team

PRESSED = "POST /integrations/{integration_id}/sync"
WINDOW = [
    f"console: {PRESSED}",
    "console: POST",
    "connector: POST /v1/accounts/{account_id}/integrations/{integration_id}/sync",
    "connector: send xai.sync-requests.v1",
    "syncer: process xai.sync-requests.v1",
    "syncer: read window",
]
"""From the button to the window that the syncer takes from its queue."""
CALL = [*WINDOW, "syncer: POST /v1/billing/teams/{team_id}/usage"]
OUTCOME = [*WINDOW, "syncer: send xai.costs.v1", "ledger: process xai.costs.v1", "ledger: send xai.sync-outcomes.v1"]
ENDS = [[*OUTCOME, f"{service}: process xai.sync-outcomes.v1"] for service in ("connector", "syncer")]
STATEMENTS = [(WINDOW[:3], "SELECT integrations"), (OUTCOME[:-1], "INSERT days"), (ENDS[0], "UPDATE integrations")]
"""Some of each service's, by how they begin."""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
async def client(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SystemClient]:
    """Every process, for real, with the setting that an operator makes; spans leave after 0.1 s instead of 5."""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    folder = tmp_path_factory.mktemp("traces")
    async with running_system(folder, settings=settings) as system, SystemClient(system) as client:
        yield client


async def test_a_button_on_a_page_is_one_trace_through_four_services_and_the_call_of_xai(
    client: SystemClient, collector: Collector
) -> None:
    team, integration_id = await client.team_in_ledger()
    await _press_force_sync(client, team, integration_id)

    def trace() -> list[SeenSpan]:
        pressed = collector.named("console", PRESSED)
        return collector.trace(pressed[0].trace_id) if pressed else []

    def paths(spans: list[SeenSpan]) -> list[list[str]]:
        return [collector.path_to(span) for span in spans]

    spans = await until(trace, lambda found: all(path in paths(found) for path in (CALL, *ENDS)))
    for above, beginning in STATEMENTS:
        begun = f"{above[-1].partition(': ')[0]}: {beginning}"
        assert [path for path in paths(spans) if path[:-1] == above and path[-1].startswith(begun)], begun
    assert {path[0] for path in paths(spans)} == {WINDOW[0]}, "one trace with one beginning, and nothing missing"
    assert [span for span in spans if span.failed] == []


async def _press_force_sync(client: SystemClient, team: Team, integration_id: str) -> None:
    address, _, query = client.system.console_link(team.account_id).partition("/enter?")
    async with httpx.AsyncClient(base_url=address, timeout=30, trust_env=False) as browser:
        entered = await browser.post("/enter", data=dict(httpx.QueryParams(query)))
        assert entered.status_code == httpx.codes.SEE_OTHER
        page = f"/integrations/{integration_id}"
        form = re.search(r'name="form_token" value="([^"]+)"', (await browser.get(page)).text)
        assert form
        pressed = await browser.post(f"{page}/sync", data={"form_token": form[1]})
        assert pressed.status_code == httpx.codes.SEE_OTHER, pressed.text
