"""One browser and one system for all files of this folder; a test ends without a problem on any page that it opened."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from console.links import Right
from grafient.local.system import System
from playwright.async_api import Browser, Page

from tests.support.browser import Visitor, chromium
from tests.support.system import SystemClient, running_system
from tests.support.xai import Team

LABEL = "Chat grok-4-0709"
Enter = Callable[..., Awaitable[Page]]
"""A page of an account, after its link: `await enter(account_id, right, **options of the page)`."""


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


@pytest.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Every process, for real; the healer looks each second."""
    settings = {"SYNCER_HEAL_EVERY_SECONDS": "1"}
    async with running_system(tmp_path_factory.mktemp("browser"), settings=settings) as system:
        async with SystemClient(system) as client:
            await client.daily_run_is_handled()
        yield system


@pytest.fixture
async def client(system: System) -> AsyncIterator[SystemClient]:
    """What a test sees of the system behind the pages, and xAI's control API."""
    async with SystemClient(system) as client:
        yield client
        await client.clear_faults()


@pytest.fixture
def enter(system: System, visitor: Visitor) -> Enter:
    return partial(_enter, system, visitor)


async def _enter(
    system: System, visitor: Visitor, account_id: str, right: Right = Right.MANAGE, **options: Any
) -> Page:
    page = await visitor.page(base_url=system.url_of("console"), **options)
    await page.goto(system.console_link(account_id, right))
    await page.get_by_role("button", name="Open my costs").click()
    return page


async def charge_more(client: SystemClient, team: Team) -> None:
    """XAI reports a dollar more of the day before yesterday, which is believed at once."""
    day = datetime.now(UTC).date() - timedelta(days=2)
    costs = (await client.served(team, day, day))[day]
    more = costs | {LABEL: costs.get(LABEL, Decimal(0)) + 1}
    await client.restate(team, day, {label: str(usd) for label, usd in more.items()})


@pytest.fixture(scope="session")
async def marked(system: System) -> tuple[Team, str]:
    """A team, and its integration, with a restated day, whose account has a second team with a refused key."""
    async with SystemClient(system) as client:
        team, integration_id = await client.team_in_ledger()
        await charge_more(client, team)
        await client.force(team, integration_id)
        other = await client.team()
        refused = Team(other.team_id, other.key, team.account_id)
        other_id = await client.connect(refused)
        await client.revoke(refused)
        await client.force_until_refused(refused, other_id)
    return team, integration_id
