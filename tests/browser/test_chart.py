"""The chart in a browser: a day's list is the same by pointer, focus and touch; arrows walk days; keys and themes work."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from console.charts import Day, Part, folded, stacked
from console.rendering import STATIC
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from playwright.async_api import Page

from tests.console.charts.pictures import ENGLISH, FIRST, a_day
from tests.support.browser import PHONE, Visitor, axe, overflowing
from tests.support.contract import served

POLICY = (
    "default-src 'none'; script-src 'nonce-n'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types console"
)
HOSTILE = "<img src=x onerror=alert(1)>"
ALL_OF_A_DAY = ["Sun, Nov 1, 2026", "Total\n$3.00", f"{HOSTILE}\n$1.00", "grok-4\n$2.00", "provisional"]
PAGE = """<!doctype html><html lang="en"><title>Costs</title><meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="/static/theme.css"><link rel="stylesheet" href="/static/app.css">
<script type="module" nonce="n" src="/static/app.js"></script>
<body><main><h1>{number}</h1><a id="other" href="/{number}1" data-swap data-key="7">7 days</a>
<p>Total <b id="figure" title="1.2345678901 USD">$1.23</b></p><details id="more"><summary>More</summary>of it</details>
<button popovertarget="keys" data-key="?">Keys</button><div id="keys" popover>All keys</div><theme-switch></theme-switch>
<day-chart>{chart}</day-chart></main></body></html>"""


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[str]:
    app = FastAPI()
    app.mount("/static", StaticFiles(directory=Path(STATIC)))
    parts = (Part("grok-4", Decimal(2)), Part(HOSTILE, Decimal(1)))
    days = [Day(FIRST, Decimal(3), parts, provisional=True), *(a_day(place) for place in range(1, 29))]
    days.append(a_day(29, None, covered=False, why="xAI refused the key."))
    chart = stacked(
        days, folded(days), "bar", ENGLISH, title="Costs", description="By day", link=lambda day: f"/days/{day}"
    )

    @app.get("/{number}")
    async def page(number: str) -> HTMLResponse:
        return HTMLResponse(PAGE.format(number=number, chart=chart), headers={"Content-Security-Policy": POLICY})

    @app.get("/days/{day}")
    async def day(day: str) -> HTMLResponse:
        return HTMLResponse(f"<title>{day}</title>")

    async with served(app) as url:
        yield url


async def shown(page: Page) -> list[str]:
    """The list beside the chart, a line each."""
    return [line.strip() for line in await page.locator(".tip p:visible").all_inner_texts()]


async def test_pointer_focus_and_touch_show_the_same_list_with_its_total(visitor: Visitor, site: str) -> None:
    page, phone = await visitor.page(), await visitor.page(size=PHONE, has_touch=True)
    for one in (page, phone):
        await one.goto(f"{site}/1")
        assert await shown(one) == []

    await page.hover(".day >> nth=0")
    assert await shown(page) == ALL_OF_A_DAY
    await page.mouse.move(0, 0)
    assert await shown(page) == []
    await page.focus(".day >> nth=0")
    assert await shown(page) == ALL_OF_A_DAY
    await phone.tap(".day >> nth=0")
    assert await shown(phone) == ALL_OF_A_DAY
    assert phone.url == f"{site}/1"
    await phone.tap(".day >> nth=0")
    await phone.wait_for_url("**/days/2026-11-01")


async def test_arrows_walk_days_and_enter_opens_one(page: Page, site: str) -> None:
    await page.goto(f"{site}/1")
    await page.focus(".day >> nth=29")
    assert (await shown(page))[-2:] == ["not read", "xAI refused the key."]
    await page.keyboard.press("ArrowLeft")
    assert (await shown(page))[0] == "Sun, Nov 29, 2026"
    await page.keyboard.press("ArrowUp")
    assert (await shown(page))[0] == "Sun, Nov 22, 2026"
    await page.keyboard.press("Home")
    await page.keyboard.press("ArrowLeft")
    assert (await shown(page))[0] == "Sun, Nov 1, 2026"
    await page.keyboard.press("Escape")
    assert await shown(page) == []
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/days/2026-11-01")


async def test_a_key_replaces_the_page_and_keeps_what_is_open(page: Page, site: str) -> None:
    await page.goto(f"{site}/1")
    await page.evaluate("window.same = true; document.getElementById('more').open = true")
    await page.focus("#other")
    await page.keyboard.press("7")
    await page.get_by_role("heading", name="11").wait_for()

    assert page.url == f"{site}/11"
    assert await page.evaluate("[window.same, document.getElementById('more').open, document.activeElement.id]") == [
        True,
        True,
        "other",
    ]
    await page.hover(".day >> nth=0")
    assert await shown(page) == ALL_OF_A_DAY
    await page.go_back()
    await page.get_by_role("heading", name="1", exact=True).wait_for()


async def test_the_list_of_keys_opens_by_its_key(page: Page, site: str) -> None:
    await page.goto(f"{site}/1")
    assert not await page.is_visible("#keys")
    await page.keyboard.press("?")
    assert await page.is_visible("#keys")
    await page.keyboard.press("Escape")
    assert not await page.is_visible("#keys")


async def test_a_theme_is_chosen_and_remembered_for_the_server(page: Page, site: str) -> None:
    await page.goto(f"{site}/1")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(ground)
    await page.click("theme-switch button")
    assert await page.evaluate(ground) == light
    await page.click("theme-switch button")
    assert await page.evaluate(ground) != light
    assert [one.get("value") for one in await page.context.cookies()] == ["dark"]
    await page.click("theme-switch button")
    assert await page.context.cookies() == []


async def test_a_chart_can_be_read_by_everybody_and_fits_a_phone(page: Page, site: str) -> None:
    await page.goto(f"{site}/1")

    assert await axe(page) == []
    assert await overflowing(page) == []


@pytest.mark.parametrize(("chosen", "copied"), [("#figure", "1.2345678901"), ("h1", "")])
async def test_a_figure_is_copied_with_every_digit_and_nothing_else_is_changed(
    page: Page, site: str, chosen: str, copied: str
) -> None:
    await page.goto(f"{site}/1")
    await page.evaluate(
        "addEventListener('copy', (event) => (window.copied = event.clipboardData.getData('text/plain')))"
    )

    await page.locator(chosen).evaluate("(one) => getSelection().selectAllChildren(one)")
    await page.keyboard.press("Control+C")

    assert await page.evaluate("window.copied") == copied  # empty: the browser copies the selection itself
