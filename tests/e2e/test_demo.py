"""The account of `grafient demo` has what a customer may meet."""

from typing import Any

from grafient.local.sample import LATE, READ_DAYS, REFUSED, RESTATED, Sample

from tests.support.system import SystemClient
from tests.support.waiting import until


async def test_three_teams_show_days_that_are_late_restated_and_not_read(client: SystemClient) -> None:
    shown = await Sample(client.http, client.address).show()

    assert [day["day"] for day in shown.days if day["restated"]] == [shown.days[-4]["day"]]
    assert all(day["covered"] for day in shown.days)
    costs = client.http.get(f"{client.address.ledger_url}/v1/accounts/demo/summary", params={"period": "90d"})
    assert len((await costs).json()["missing_days"]) == 90 - READ_DAYS

    cards = await until(lambda: _cards(client), lambda found: found[LATE]["backfill"]["days_read"] == 90)
    assert cards[RESTATED]["status"] == cards[LATE]["status"] == "active"
    assert cards[REFUSED]["backfill"]["days_read"] == READ_DAYS


async def _cards(client: SystemClient) -> dict[str, dict[str, Any]]:
    found = (await client.request("GET", "/accounts/demo/integrations")).json()["integrations"]
    return {card["label"]: card for card in found}
