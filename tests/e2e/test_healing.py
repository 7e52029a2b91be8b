"""Days that are missing are found and read again without a request."""

from datetime import date, timedelta
from decimal import Decimal

from contract.topics import COSTS, SYNC_OUTCOMES

from tests.support.messages import cost_recorded, window_read
from tests.support.system import SystemClient
from tests.support.waiting import until
from tests.support.xai import Team


async def test_a_newer_reading_of_which_only_some_days_arrived_is_completed(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    done = await client.force(team, integration_id)
    first = date.fromisoformat(done["first_day"])
    await _half_a_reading(client, team, integration_id, first)

    async def healed() -> bool:
        syncs = await client.syncs(team, integration_id)
        return any(one["trigger"] == "heal" and one["reconciled"] for one in syncs)

    await until(healed)
    last = first + timedelta(days=1)
    assert await client.shown(team, first, last) == await client.served(team, first, last)


async def _half_a_reading(client: SystemClient, team: Team, integration_id: str, first: date) -> None:
    """A reading of two days of which only the costs of the first one arrive."""
    restated = (await client.served(team, first, first))[first] | {"SKU A": Decimal("7.25")}
    await client.restate(team, first, {label: f"{usd:f}" for label, usd in restated.items()})
    costs = cost_recorded(integration_id, restated, account_id=team.account_id, day=first)
    second = first + timedelta(days=1)
    window = window_read(costs, last_day=second, totals={first: costs.usd, second: 1})
    for message in (costs, window):
        await client.publish_message(COSTS, integration_id, message, f"{costs.reading_id}:{type(message).__name__}")


async def test_days_that_the_ledger_never_confirmed_are_read_again(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    finished = date.fromisoformat((await client.force(team, integration_id))["first_day"])
    await client.consumed("syncer", SYNC_OUTCOMES)  # or the day is confirmed afterwards
    await client.rows(
        "DELETE FROM syncer.coverage WHERE integration_id = %s AND day = %s RETURNING day", integration_id, finished
    )

    async def healed() -> bool:
        syncs = await client.syncs(team, integration_id)
        return any(one["trigger"] == "heal" and one["first_day"] == str(finished) for one in syncs)

    await until(healed)
