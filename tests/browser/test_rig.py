"""The browser shows pages, and the rig sees what is wrong with them."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.async_api import Browser, Page

from tests.support.browser import Visitor, axe, beyond_keyboard, overflowing
from tests.support.contract import served

POLICY = {"Content-Security-Policy": "default-src 'none'; style-src 'self'; require-trusted-types-for 'script'"}
GOOD = "<main><h1>Costs</h1><p>12 USD</p><a href='/'>Again</a></main>"
BAD = (
    """<main><h1>Costs</h1><img src="/absent.png"><p style="color: #ddd">faint</p><button tabindex="-1">Hidden</button>
<div>"""
    + "wide" * 200
    + "</div><script>alert(1)</script></main>"
)


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[str]:
    """Two pages: a good one, and one with a fault of each kind."""
    app = FastAPI()
    for path, body in (("/", GOOD), ("/bad", BAD)):
        html = f"<!doctype html><html lang=en><title>Costs</title><body>{body}</body></html>"
        app.get(path)(lambda html=html: HTMLResponse(html, headers=POLICY))
    async with served(app) as url:
        yield url


async def test_a_good_page_is_shown_and_nothing_is_found(page: Page, site: str) -> None:
    await page.goto(site)

    assert await page.inner_text("p") == "12 USD"
    assert [await axe(page), await overflowing(page), await beyond_keyboard(page)] == [[], [], []]


async def test_what_is_wrong_with_a_page_is_found(browser: Browser, site: str) -> None:
    visitor = Visitor(browser)
    page = await visitor.page()
    await page.goto(f"{site}/bad")

    assert [one for one in await axe(page) if "image-alt" in one]
    assert [one for one in await overflowing(page) if "wide" in one]
    assert [one for one in await beyond_keyboard(page) if "Hidden" in one]
    problems = " ".join(visitor.problems)
    await visitor.leave()
    assert all(word in problems for word in ("img-src", "style-src", "script-src")), problems


async def test_a_page_without_script_is_one(visitor: Visitor, site: str) -> None:
    page = await visitor.page(theme="dark", java_script_enabled=False)
    await page.goto(site)

    assert await page.inner_text("h1") == "Costs"
