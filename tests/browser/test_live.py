"""A page follows its account: at once while there is a stream, every 15 seconds, and visibly so, while there is none."""

from playwright.async_api import expect

from tests.browser.conftest import Enter
from tests.support.system import SystemClient


async def test_a_change_is_shown_at_once_in_every_tab(enter: Enter, client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    tabs = [await enter(team.account_id) for _ in range(3)]
    for tab in tabs:
        await tab.goto("/integrations")
        await expect(tab.locator("live-view")).to_have_text("Live")

    await client.request("PATCH", team.path(integration_id), {"label": "Renamed elsewhere"})

    for tab in tabs:
        await expect(tab.locator("#cards")).to_contain_text("Renamed elsewhere")


async def test_without_a_stream_a_page_asks_again_by_itself(enter: Enter, client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    page = await enter(team.account_id)
    await page.clock.install()
    await page.route("**/live", lambda route: route.fulfill(status=204))
    await page.goto("/integrations")
    await expect(page.locator("live-view")).to_contain_text("every 15 seconds")
    await client.request("PATCH", team.path(integration_id), {"label": "Renamed elsewhere"})

    await page.clock.fast_forward(15_000)

    await expect(page.locator("#cards")).to_contain_text("Renamed elsewhere")
