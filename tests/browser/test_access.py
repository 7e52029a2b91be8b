"""Who gets in: by a link once, for a while, to one account; and what each may do there."""

from datetime import UTC, datetime, timedelta

from console.links import LONGEST, Right, new_link
from grafient.local.system import System

from tests.browser.conftest import Enter
from tests.support.browser import Visitor
from tests.support.xai import Team

FORGED = b"obviously-forged-secret-of-a-test-0001"


async def test_a_link_opens_the_costs_once(system: System, visitor: Visitor) -> None:
    link = system.console_link("acme")
    page, other = await visitor.page(), await visitor.page()
    await page.goto(link)
    await other.goto(link)

    await page.get_by_role("button", name="Open my costs").click()
    await other.get_by_role("button", name="Open my costs").click()

    assert await page.get_by_role("link", name="Integrations").is_visible()
    assert "was used" in await other.inner_text("h1")


async def test_an_expired_link_opens_nothing(system: System, visitor: Visitor) -> None:
    page = await visitor.page()

    answer = await page.goto(system.console_link(valid=-timedelta(minutes=2)))

    assert answer
    assert answer.status == 403
    assert "has expired" in await page.inner_text("h1")
    assert "Go back to your product" in await page.inner_text("main")


async def test_a_forged_link_opens_nothing(system: System, visitor: Visitor) -> None:
    page = await visitor.page()
    forged = new_link("demo", Right.MANAGE, datetime.now(UTC) + LONGEST).query(FORGED)

    answer = await page.goto(f"{system.url_of('console')}/enter?{forged}")

    assert answer
    assert answer.status == 403
    assert "not valid" in await page.inner_text("h1")


async def test_another_accounts_integration_is_not_there(enter: Enter, marked: tuple[Team, str]) -> None:
    _, integration_id = marked
    page = await enter("somebody-else")

    answer = await page.goto(f"/integrations/{integration_id}")

    assert answer
    assert answer.status == 404
    again: list[str] = []
    page.on("request", lambda request: again.append(request.url))
    await page.evaluate("""() => {
        document.querySelector("live-view").dataset.state = "";
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    await page.locator("live-view[data-state=live]").wait_for()
    assert [url for url in again if url.endswith(integration_id)] == [], "a page without figures does not ask again"


async def test_somebody_who_may_only_look_sees_figures_and_no_form(enter: Enter, marked: tuple[Team, str]) -> None:
    team, integration_id = marked
    page = await enter(team.account_id, Right.VIEW)

    for address in ("/integrations", f"/integrations/{integration_id}"):
        answer = await page.goto(address)
        assert answer
        assert answer.ok
        assert await page.locator("main form").count() == 0
