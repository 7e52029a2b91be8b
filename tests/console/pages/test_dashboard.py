"""The dashboard shows the ledger's figures, digit by digit, with what is missing and why."""

from typing import Any

import pytest
from console.links import Right

from tests.console.support.answers import INTEGRATION, LAST, a_card, a_day, an_account, summary
from tests.console.support.browsing import Customer, FakeService

PATH = "/v1/accounts/acme"
MISSING = a_day(1, covered=False, usd=None, missing=[INTEGRATION])


@pytest.fixture
def account(services: FakeService) -> dict[str, Any]:
    services.answers |= an_account()
    return services.answers


@pytest.mark.usefixtures("account")
async def test_the_total_is_the_ledgers_and_every_digit_can_be_had(customer: Customer) -> None:
    customer.open_session()
    answer = await customer.get("/")
    assert answer.status_code == 200
    assert 'title="12.3456789012 USD">$12.35<' in answer.text
    assert "+25.0%" in answer.text


@pytest.mark.usefixtures("account")
async def test_reports_are_about_what_the_address_asks(customer: Customer, services: FakeService) -> None:
    customer.open_session()
    await customer.get(f"/?period=7d&compare=year&integration={INTEGRATION}")
    (asked,) = services.asked[f"{PATH}/summary"]
    assert dict(asked.url.params) == {"period": "7d", "compare": "year", "integration_id": INTEGRATION}
    (asked,) = services.asked[f"{PATH}/costs"]
    assert dict(asked.url.params) == {
        "from": "2026-10-30", "to": "2026-11-28", "by": "day", "integration_id": INTEGRATION,
    }  # fmt: skip


async def test_where_there_is_no_comparison_the_reason_is_shown(customer: Customer, account: dict[str, Any]) -> None:
    why = "2 days of the period before were not read."
    previous = summary()["previous"] | {"change": None, "why": why}
    account[f"{PATH}/summary"] = summary(previous=previous)
    customer.open_session()
    assert why in (await customer.get("/")).text


async def test_an_account_without_a_team_is_led_to_connecting_one(customer: Customer, account: dict[str, Any]) -> None:
    account[f"{PATH}/integrations"] = {"integrations": []}
    account[f"{PATH}/costs"] = {"integrations": 0, "days": []}
    customer.open_session()
    assert "No team is connected yet" in (await customer.get("/")).text


async def test_a_day_that_was_not_read_is_named_with_its_reason(customer: Customer, account: dict[str, Any]) -> None:
    account[f"{PATH}/costs"]["days"][1] = MISSING
    customer.open_session(right=Right.VIEW)
    text = (await customer.get("/")).text
    assert "Not read: Research (Active)." in text
    assert "Read now" not in text


async def test_missing_days_are_read_where_they_are_missing(
    customer: Customer, services: FakeService, account: dict[str, Any]
) -> None:
    account[f"{PATH}/costs"]["days"] = [MISSING]
    account[f"{PATH}/integrations/{INTEGRATION}/sync"] = {"request_id": "1"}
    token = customer.open_session()
    assert "Read now" in (await customer.get("/")).text
    day = MISSING["day"]
    answer = await customer.post("/read", form_token=token, first=day, last=day, query="?period=7d")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?period=7d&requested=1")
    (asked,) = services.asked[f"{PATH}/integrations/{INTEGRATION}/sync"]
    assert asked.content == f'{{"first_day":"{day}","last_day":"{day}"}}'.encode()
    assert "The days were requested" in (await customer.get("/?period=7d&requested=1")).text


@pytest.mark.parametrize("right", Right)
async def test_nothing_is_read_without_the_right_and_the_token_of_the_session(
    customer: Customer, services: FakeService, right: Right, account: dict[str, Any]
) -> None:
    token = customer.open_session(right=right)
    form = {"first": str(LAST), "last": str(LAST), "form_token": token if right is Right.VIEW else "of another"}
    assert (await customer.post("/read", **form)).status_code == 403
    assert account
    assert services.asked == {}


async def test_a_label_is_text_wherever_it_is_shown(customer: Customer, account: dict[str, Any]) -> None:
    account[f"{PATH}/integrations"] = {"integrations": [a_card(label="<script>1</script>"), a_card()]}
    account[f"{PATH}/breakdown"]["rows"][0]["model"] = '"><img src=x>'
    customer.open_session()
    text = (await customer.get("/")).text
    assert "<script>1" not in text
    assert "<img" not in text


async def test_the_figures_of_another_account_are_never_read(customer: Customer, services: FakeService) -> None:
    services.answers |= an_account("other")
    customer.open_session("acme")
    assert (await customer.get("/")).status_code == 404
    assert all("/accounts/acme/" in path for path in services.asked)
