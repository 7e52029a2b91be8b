"""Every failure is a page in plain sentences, and nothing of what failed is shown."""

import pytest

from tests.console.support.answers import an_account
from tests.console.support.browsing import Customer, FakeService


async def test_an_address_that_leads_nowhere_is_answered(customer: Customer) -> None:
    answer = await customer.get("/nothing/here")
    assert answer.status_code == 404
    assert "There is no such page" in answer.text


async def test_a_wrong_method_is_answered(customer: Customer) -> None:
    answer = await customer.post("/")
    assert answer.status_code == 400
    assert "not understood" in answer.text


async def test_a_service_that_does_not_answer_is_reported(customer: Customer, services: FakeService) -> None:
    customer.open_session()
    services.unavailable = True
    answer = await customer.get("/")
    assert answer.status_code == 503
    assert "A part of the service is unavailable" in answer.text


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_what_nobody_expected_is_reported_without_its_reason(customer: Customer, services: FakeService) -> None:
    customer.open_session()
    services.answers |= an_account() | {"/v1/accounts/acme/summary": {"obviously": "fake"}}
    answer = await customer.get("/")
    assert answer.status_code == 500
    assert "Something went wrong here" in answer.text
    assert "obviously" not in answer.text
    assert answer.headers["content-security-policy"]


async def test_an_address_that_asks_for_the_impossible_is_answered(customer: Customer) -> None:
    customer.open_session()
    answer = await customer.get("/?period=3d")
    assert answer.status_code == 400
    assert "7d, 30d, 90d" in answer.text
