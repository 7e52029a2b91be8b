"""Every page can be used by everybody: in both themes, by keyboard, on a phone, and without script."""

import re

import pytest

from tests.browser.conftest import Enter
from tests.support.browser import PHONE, axe, beyond_keyboard, overflowing
from tests.support.xai import Team

PAGES = ("/", "/integrations", "/integrations/{integration}")

every_page = pytest.mark.parametrize("address", PAGES)


def of(marked: tuple[Team, str], address: str) -> str:
    return address.replace("{integration}", marked[1])


@every_page
async def test_axe_finds_nothing_in_either_theme(enter: Enter, marked: tuple[Team, str], address: str) -> None:
    page = await enter(marked[0].account_id)
    await page.goto(of(marked, address))

    assert await axe(page) == []


@every_page
async def test_every_control_is_reached_by_keyboard_and_shows_its_focus(
    enter: Enter, marked: tuple[Team, str], address: str
) -> None:
    page = await enter(marked[0].account_id)
    await page.goto(of(marked, address))

    assert await beyond_keyboard(page) == []


@every_page
async def test_a_phone_shows_it_without_scrolling_sideways(
    enter: Enter, marked: tuple[Team, str], address: str
) -> None:
    page = await enter(marked[0].account_id, size=PHONE)
    await page.goto(of(marked, address))

    assert await overflowing(page) == []


@every_page
async def test_without_script_it_shows_the_same_figures(enter: Enter, marked: tuple[Team, str], address: str) -> None:
    texts = []
    for script in (True, False):
        page = await enter(marked[0].account_id, java_script_enabled=script)
        await page.goto(of(marked, address))
        texts.append(re.findall(r"\d+\.\d\d+", await page.inner_text("main")))

    assert texts[0] == texts[1] != []
