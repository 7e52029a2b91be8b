"""Every page can be used by everybody: in both themes, by keyboard, on a phone, and without script."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import Enter
from tests.support.browser import PHONE, axe, beyond_keyboard, overflowing
from tests.support.xai import Team

PAGES = ("/", "/models", "/days/{day}", "/export", "/integrations", "/integrations/{integration}")

every_page = pytest.mark.parametrize("address", PAGES)


async def opened(enter: Enter, marked: tuple[Team, str], address: str, **options: Any) -> Page:
    """The page, which stays as it is: it does not follow its account."""
    page = await enter(marked[0].account_id, **options)
    await page.route("**/live", lambda route: route.fulfill(status=204))
    day = datetime.now(UTC).date() - timedelta(days=2)
    answer = await page.goto(address.format(integration=marked[1], day=day))
    assert answer
    assert answer.ok
    return page


@every_page
async def test_axe_finds_nothing_in_either_theme(enter: Enter, marked: tuple[Team, str], address: str) -> None:
    page = await opened(enter, marked, address)

    assert await axe(page) == []


@every_page
async def test_every_control_is_reached_by_keyboard_and_shows_its_focus(
    enter: Enter, marked: tuple[Team, str], address: str
) -> None:
    page = await opened(enter, marked, address)

    assert await beyond_keyboard(page) == []


@every_page
async def test_a_phone_shows_it_without_scrolling_sideways(
    enter: Enter, marked: tuple[Team, str], address: str
) -> None:
    page = await opened(enter, marked, address, size=PHONE)

    assert await overflowing(page) == []


@every_page
async def test_without_script_it_shows_the_same_figures(enter: Enter, marked: tuple[Team, str], address: str) -> None:
    texts = []
    for script in (True, False):
        page = await opened(enter, marked, address, java_script_enabled=script)
        texts.append(re.findall(r"\d+\.\d\d+", await page.inner_text("main")))

    assert texts[0] == texts[1] != []
