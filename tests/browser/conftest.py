"""One browser for all files of this folder; each test has sessions of its own, and ends without a problem on a page."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page

from tests.support.browser import Visitor, chromium


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def visitor(browser: Browser) -> AsyncIterator[Visitor]:
    visitor = Visitor(browser)
    yield visitor
    await visitor.leave()
    assert visitor.problems == []


@pytest.fixture
async def page(visitor: Visitor) -> Page:
    return await visitor.page()
