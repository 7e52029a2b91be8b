"""Messages that come three months late: they fill gaps, and change nothing that is newer."""

import json
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from contract.fields import Trigger
from contract.messages import CostRecorded, IntegrationRemoved, Message, RenameIntegration
from contract.problems import Code
from contract.topics import COMMANDS_TOPIC, COSTS, CREDENTIALS, INTEGRATIONS, SYNC_OUTCOMES, SYNC_REQUESTS, Topic

from tests.faults.support.fault import Fault
from tests.faults.support.load import Connected, Load
from tests.faults.support.results import command_results, outcomes_of
from tests.faults.support.sending import Sender, sending
from tests.faults.support.valid import handled, valid, without_rows
from tests.support.messages import (
    command,
    cost_recorded,
    credential_sealed,
    integration_removed,
    sync_failed,
    sync_requested,
    window_read,
    wire,
)
from tests.support.system import SystemClient
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
LATE = timedelta(days=90)


def _days_ago(days: int) -> date:
    return datetime.now(UTC).date() - timedelta(days=days)


def _late_day(at: Connected, day: date) -> CostRecorded:
    (team, integration_id), then = at, datetime.now(UTC) - LATE
    return cost_recorded(integration_id, {"late": 1}, account_id=team.account_id, day=day, observed_at=then)


async def test_days_that_come_three_months_late_fill_a_gap_and_replace_nothing(load: Load, fault: Fault) -> None:
    client, at = load.client, load.teams[0]
    erased = await _erased(client)
    known, gap, gone = _late_day(at, _days_ago(3)), _late_day(at, _days_ago(95)), _late_day(erased, _days_ago(95))

    async with fault("days come three months late"), sending(client) as sender:
        for day in (known, gap, gone):
            await _send_late(sender, COSTS, day)
            await _send_late(sender, COSTS, window_read(day))
        (of_gap,) = await outcomes_of(client, gap.reading_id)
        (of_known,) = await outcomes_of(client, known.reading_id)

    assert (of_gap["reconciled"], of_known["reconciled"]) == (True, True)
    assert (await client.shown(at[0], gap.day, gap.day))[gap.day] == {"late": 1}
    assert await client.rows("SELECT 1 FROM ledger.days WHERE integration_id = %s", erased[1]) == []


async def test_requests_commands_and_states_that_come_three_months_late_change_nothing(
    load: Load, fault: Fault
) -> None:
    client, (team, integration_id) = load.client, load.teams[0]
    then, calls = datetime.now(UTC) - LATE, len(await client.calls(team))
    about = {"account_id": team.account_id, "integration_id": integration_id}
    request = sync_requested(integration_id, trigger=Trigger.DAILY, requested_at=then)
    rename = command(RenameIntegration, **about, label="Late", expires_at=then + timedelta(days=7))
    late: list[tuple[Topic, Message]] = [
        (SYNC_REQUESTS, request),
        (COMMANDS_TOPIC, rename),
        (SYNC_OUTCOMES, sync_failed(integration_id, Code.KEY_REFUSED, account_id=team.account_id, observed_at=then)),
        (CREDENTIALS, credential_sealed(UUID(integration_id), account_id=team.account_id)),
        (INTEGRATIONS, _removed(integration_id, team.account_id, then)),
    ]
    behind = valid(SYNC_REQUESTS, load)

    async with fault("requests, commands and states come three months late", under_load=False):
        async with sending(client) as sender:
            for topic, message in late:
                await _send_late(sender, topic, message)
            await sender.valid(SYNC_REQUESTS, 0, behind)
        await handled(client, [behind])
        (rejected,) = await command_results(client, rename.command_id)
        assert len(await client.calls(team)) == calls

    assert json.loads(rejected)["code"] == "expired"
    assert (await client.ended(team, integration_id, request.request_id))["code"] == "expired"
    card = await client.card(team, integration_id)
    assert (card["status"], card["label"] == "Late") == ("active", False)


def _removed(integration_id: str, account_id: str, then: datetime) -> IntegrationRemoved:
    """The first version of the integration, already removed."""
    dates = {"added_at": then, "removed_at": then, "changed_at": then, "history_from": then.date()}
    return integration_removed(UUID(integration_id), account_id=account_id, label="Late", version=1, **dates)


async def test_days_older_than_xai_reports_end_without_a_reading(load: Load, fault: Fault) -> None:
    client, (team, integration_id) = load.client, load.teams[0]
    request = sync_requested(integration_id, first_day=_days_ago(100), last_day=_days_ago(91))

    async with fault("days are requested that xAI no longer reports"), sending(client) as sender:
        load.accepted[request.request_id] = integration_id
        await sender.valid(SYNC_REQUESTS, 0, without_rows(request, integration_id))
        ended = await client.ended(team, integration_id, request.request_id)

    assert (ended["code"], ended["final"]) == ("out_of_range", True)


async def _send_late(sender: Sender, topic: Topic, message: Message) -> None:
    """As if it had been written three months ago, on the partition of its key."""
    at = datetime.now(UTC) - LATE
    key = str(getattr(message, "account_id" if topic is COMMANDS_TOPIC else "integration_id"))
    value, headers = wire(message, at=at)
    timestamp = int(at.timestamp() * 1000)
    await sender.plain.send_and_wait(topic.name, value, key=key.encode(), headers=headers, timestamp_ms=timestamp)


async def _erased(client: SystemClient) -> Connected:
    """A team that was removed together with its history."""
    team = await client.team()
    integration_id = await client.connect(team)
    path = f"/accounts/{team.account_id}/integrations/{integration_id}?history=erase"
    assert (await client.request("DELETE", path)).status_code == 204
    await until(lambda: client.rows("SELECT 1 FROM ledger.erased WHERE integration_id = %s", integration_id))
    return team, integration_id
