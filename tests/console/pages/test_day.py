"""The life of a figure: what a day cost, which reading it is from, and what it was before."""

from typing import Any

import pytest

from tests.console.support.answers import INTEGRATION, an_account
from tests.console.support.browsing import Customer, FakeService

PATH = "/v1/accounts/acme/days/2026-11-03"
READING: dict[str, Any] = {
    "reading_id": "01990000-0000-7000-8000-000000000001",
    "observed_at": "2026-11-10T06:00:01Z",
    "first_day": "2026-11-03",
    "last_day": "2026-11-10",
    "trigger": "daily",
    "request_ids": ["daily:2026-11-10"],
    "answers": [{"first_day": "2026-11-03", "last_day": "2026-11-10", "sha256": "ab" * 32}],
    "reconciled": True,
    "stored_at": "2026-11-10T06:00:02Z",
}
OLDER: dict[str, Any] = dict.fromkeys(READING) | {"reading_id": "01990000-0000-7000-8000-000000000002"}
COST = {"label": "Chat <grok>", "product": "Chat", "model": "<grok>", "usd": "1.2345678901"}


def life(**changes: Any) -> dict[str, Any]:
    former = {
        "usd": "0.5",
        "costs": [COST | {"usd": "0.5"}],
        "valid_from": "2026-11-04T06:00:00Z",
        "valid_to": "2026-11-10T06:00:01Z",
        "replaced_by": READING["reading_id"],
        "reading": OLDER,
    }
    of_team = {
        "integration_id": INTEGRATION,
        "covered": True,
        "provisional": True,
        "usd": "1.2345678901",
        "costs": [COST],
        "valid_from": "2026-11-10T06:00:01Z",
        "reading": READING,
        "reason": None,
        "why": None,
        "former": [former],
    }
    day = {"currency": "USD", "day": "2026-11-03", "covered": True, "usd": "1.2345678901", "next_cursor": None}
    return day | {"integrations": [of_team | changes]}


@pytest.fixture
def account(customer: Customer, services: FakeService) -> FakeService:
    services.answers |= an_account() | {PATH: life()}
    customer.open_session()
    return services


@pytest.mark.usefixtures("account")
async def test_a_figure_leads_to_its_reading_its_request_and_the_hash_of_the_answer(customer: Customer) -> None:
    text = (await customer.get("/days/2026-11-03")).text

    expected = ("1.2345678901 USD", "Research", READING["reading_id"], "daily sync", "daily:2026-11-10", "ab" * 32)
    assert [part for part in (*expected, "Nov 10, 2026, 06:00 UTC", "Chat &lt;grok&gt;") if part not in text] == []


@pytest.mark.usefixtures("account")
async def test_a_restated_day_shows_what_it_was_before_and_for_how_long(customer: Customer) -> None:
    text = (await customer.get("/days/2026-11-03")).text
    before = text[text.index('id="before"') :]

    assert [part for part in ("$0.50", "Nov 4, 2026, 06:00 UTC", "not recorded") if part not in before] == []
    assert ">restated<" in text
    assert ">provisional<" in text


async def test_the_mark_of_a_restated_day_leads_to_the_first_team_that_changed(
    customer: Customer, account: FakeService
) -> None:
    changed, unchanged = life(), life(former=[])
    account.answers[PATH] = changed | {"integrations": [*unchanged["integrations"], *changed["integrations"] * 2]}

    assert (await customer.get("/days/2026-11-03")).text.count('id="before"') == 1


async def test_more_teams_keep_the_period(customer: Customer, account: FakeService) -> None:
    account.answers[PATH] = life() | {"next_cursor": INTEGRATION}

    text = (await customer.get("/days/2026-11-03?period=90d")).text

    assert f'href="/days/2026-11-03?period=90d&amp;cursor={INTEGRATION}"' in text


async def test_a_day_that_was_not_read_is_no_zero_and_has_its_reason(customer: Customer, account: FakeService) -> None:
    changes: dict[str, Any] = {
        "covered": False,
        "provisional": False,
        "usd": None,
        "costs": [],
        "reading": None,
        "former": [],
    }
    answer = life(**changes, reason="not_read", why="It has not been read yet.") | {"covered": False, "usd": None}
    account.answers[PATH] = answer
    text = (await customer.get("/days/2026-11-03")).text

    assert "Not read" in text
    assert "It has not been read yet." in text
    assert "$0.00" not in text


async def test_a_day_without_a_cost_and_a_questioned_one_are_marked(customer: Customer, account: FakeService) -> None:
    account.answers[PATH] = life(usd="0", costs=[], former=[], reason="questioned", why="It is asked again.")
    text = (await customer.get("/days/2026-11-03")).text

    assert [part for part in (">read, no cost<", ">asked again<", "It is asked again.") if part not in text] == []


@pytest.mark.usefixtures("account")
async def test_neighbours_are_links_that_keep_the_view(customer: Customer) -> None:
    text = (await customer.get("/days/2026-11-03?period=7d")).text

    assert 'rel="prev" href="/days/2026-11-02?period=7d"' in text
    assert 'rel="next" href="/days/2026-11-04?period=7d"' in text


async def test_more_teams_are_on_the_next_page(customer: Customer, account: FakeService) -> None:
    account.answers[PATH] = life() | {"next_cursor": INTEGRATION}
    assert f"/days/2026-11-03?cursor={INTEGRATION}" in (await customer.get("/days/2026-11-03")).text

    await customer.get("/days/2026-11-03", cursor=INTEGRATION)
    assert account.asked[PATH][-1].url.params["cursor"] == INTEGRATION


@pytest.mark.usefixtures("account")
async def test_what_is_no_day_is_no_page(customer: Customer) -> None:
    assert (await customer.get("/days/yesterday")).status_code == 404
