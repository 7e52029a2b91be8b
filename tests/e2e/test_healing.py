"""What was missed is found and read again without anyone asking."""

import json
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.support.system import SystemClient, Team
from tests.support.waiting import until


async def test_a_newer_reading_of_which_only_some_days_arrived_is_completed(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    done = await world.force(team, integration_id)
    first = date.fromisoformat(done["first_day"])
    await _half_a_reading(world, team, integration_id, first)

    async def healed() -> bool:
        syncs = await world.syncs(team, integration_id)
        return any(one["trigger"] == "heal" and one["reconciled"] for one in syncs)

    await until(healed)
    last = first + timedelta(days=1)
    assert await world.shown(team, first, last) == await world.served(team, first, last)


async def _half_a_reading(world: SystemClient, team: Team, integration_id: str, first: date) -> None:
    """A reading of two days of which the first one's costs arrive only."""
    reading_id, second = str(uuid.uuid4()), first + timedelta(days=1)
    usd = {"label": "grok-4-fast", "product": None, "model": "grok-4-fast", "usd": "7.25"}
    await world.restate(team, first, {"grok-4-fast": "7.25"})
    about = {
        "account_id": team.account_id,
        "integration_id": integration_id,
        "reading_id": reading_id,
        "observed_at": datetime.now(UTC).isoformat(),
    }
    window = about | {
        "first_day": str(first),
        "last_day": str(second),
        "totals": {str(first): "7.25", str(second): "1"},
        "trigger": "force",
        "request_ids": [f"half-{reading_id}"],
        "credential_version": 1,
    }
    await _publish(world, "CostRecorded", about | {"day": str(first), "usd": "7.25", "costs": [usd]})
    await _publish(world, "WindowRead", window)


async def _publish(world: SystemClient, kind: str, body: dict[str, Any]) -> None:
    headers = {
        "ce_specversion": b"1.0",
        "ce_id": f"{body['reading_id']}:{kind}".encode(),
        "ce_type": kind.encode(),
        "ce_source": b"/test",
        "content-type": b"application/json",
    }
    await world.publish("xai.costs.v1", body["integration_id"], json.dumps(body).encode(), headers)


async def test_days_that_the_ledger_never_confirmed_are_read_again(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    finished = date.fromisoformat((await world.force(team, integration_id))["first_day"])
    await world.rows(
        "DELETE FROM syncer.coverage WHERE integration_id = %s AND day = %s RETURNING day", integration_id, finished
    )

    async def healed() -> bool:
        syncs = await world.syncs(team, integration_id)
        return any(one["trigger"] == "heal" and one["first_day"] == str(finished) for one in syncs)

    await until(healed)
