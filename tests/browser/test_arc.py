"""What a customer does from the first key to the last: nothing is typed twice, and nothing has to be loaded again."""

from csv import DictReader
from decimal import Decimal

from playwright.async_api import Page, expect

from tests.browser.conftest import Enter, charge_more
from tests.support.system import SystemClient

WRONG_KEY = "fake-key-that-xai-does-not-know"


async def test_a_team_is_connected_read_restated_and_removed(enter: Enter, client: SystemClient) -> None:
    team = await client.team()
    page = await enter(team.account_id)
    await page.get_by_role("link", name="Integrations").click()

    await fill(page, {"Label (optional)": "Research", "Team ID": team.team_id, "Management API key": WRONG_KEY})
    await press(page, "Test Connection")
    await expect(page.locator("#result")).to_contain_text("xAI does not accept this key")

    await fill(page, {"Management API key": team.key})
    await press(page, "Test Connection")
    await expect(page.locator("#result")).to_contain_text("✓ The connection works")
    assert await page.get_by_label("Management API key").input_value() == team.key

    async with client.locked("ledger.days"):
        await press(page, "Add Integration")
        await page.wait_for_url("**/integrations?done=added*")  # the card may be there live before
        await expect(page.get_by_role("article")).to_contain_text("Filling in the history: 0 of 30 days")
        await page.evaluate("window.sameDocument = true")
    await expect(page.get_by_role("article")).to_contain_text("Active")
    assert await page.evaluate("window.sameDocument")

    await press(page, "Force Sync")
    await expect(page.get_by_role("article")).to_contain_text("no day changed")

    await charge_more(client, team)
    await press(page, "Force Sync")
    await expect(page.get_by_role("article")).to_contain_text("1 day changed")

    await page.get_by_role("link", name="Research", exact=True).click()
    await expect(page.locator("#revisions")).to_contain_text("$")

    await page.get_by_role("textbox", name="Label").fill("Production")
    await press(page, "Rename")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Production")
    integration = page.url

    await page.goto("/export")
    total = Decimal((await page.inner_text(".mono")).removesuffix(" USD"))
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download CSV").click()
    rows = DictReader((await (await download.value).path()).read_text().splitlines())
    assert sum(Decimal(row["usd"]) for row in rows) == total > 0

    await page.goto(integration)
    await page.get_by_text("Remove this integration").click()
    await fill(page, {"To confirm": "Research"})
    await press(page, "Remove")
    await expect(page.get_by_role("alert")).to_contain_text("Nothing was removed")
    await fill(page, {"To confirm": "Production"})
    await page.get_by_label("Erase them").check()
    await press(page, "Remove")
    await expect(page.get_by_role("status").first).to_contain_text("its costs erased")
    assert await page.get_by_role("article").count() == 0


async def test_without_script_a_team_is_connected_all_the_same(enter: Enter, client: SystemClient) -> None:
    team = await client.team()
    page = await enter(team.account_id, java_script_enabled=False)
    await page.goto("/integrations")

    await fill(page, {"Team ID": team.team_id, "Management API key": WRONG_KEY})
    await press(page, "Test Connection")
    assert "xAI does not accept this key" in await page.inner_text("#result")
    assert await page.get_by_label("Management API key").input_value() == ""

    await fill(page, {"Management API key": team.key})
    await press(page, "Add Integration")
    assert "The team is connected" in await page.inner_text("main")
    assert team.key not in await page.content()


async def fill(page: Page, fields: dict[str, str]) -> None:
    for label, text in fields.items():
        await page.get_by_label(label).fill(text)


async def press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name, exact=True).click()
