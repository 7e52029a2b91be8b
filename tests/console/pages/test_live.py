"""The stream of a tab needs a session, and is refused while the connector is unavailable."""

from tests.console.support.browsing import Customer, FakeService


async def test_nobody_follows_an_account_without_a_session(customer: Customer) -> None:
    assert (await customer.get("/live")).status_code == 401


async def test_while_the_connector_is_unavailable_a_tab_has_to_poll(customer: Customer, services: FakeService) -> None:
    services.unavailable = True
    customer.open_session()

    assert (await customer.get("/live")).status_code == 503
