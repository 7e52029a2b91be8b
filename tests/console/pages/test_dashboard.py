"""The dashboard shows the ledger's figures, digit by digit."""

from tests.console.support.answers import an_account
from tests.console.support.browsing import Customer, FakeService


async def test_the_total_is_the_ledgers(customer: Customer, services: FakeService) -> None:
    services.answers |= an_account()
    customer.open_session()
    answer = await customer.get("/")
    assert answer.status_code == 200
    assert "12.3456789012" in answer.text


async def test_the_figures_of_another_account_are_never_read(customer: Customer, services: FakeService) -> None:
    services.answers |= an_account("other")
    customer.open_session("acme")
    assert (await customer.get("/")).status_code == 404
    assert all("/accounts/acme/" in path for path in services.asked)
