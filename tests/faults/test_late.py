"""Messages that come three months late: they fill gaps, and change nothing that is known better by now."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from contract.cloudevents import headers_of
from contract.fields import History, Plan, Status, Trigger
from contract.messages import (
    Cost,
    CostRecorded,
    CredentialSealed,
    IntegrationRemoved,
    Message,
    RenameIntegration,
    SyncFailed,
    SyncRequested,
)
from contract.problems import Code
from contract.topics import COMMANDS_TOPIC, COSTS, CREDENTIALS, INTEGRATIONS, SYNC_OUTCOMES, SYNC_REQUESTS, Topic

from tests.faults.support.dead_letters import Sender, answers, handled, outcomes, owner_in, sending
from tests.faults.support.load import Load, Result
from tests.faults.support.poison import good, plain, window_of
from tests.support.system import SystemClient, Team
from tests.support.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
LATE = timedelta(days=90)


def _late_day(integration_id: str, account_id: str, *, days_ago: int) -> CostRecorded:
    then = datetime.now(UTC) - LATE
    return CostRecorded(
        account_id=account_id,
        integration_id=UUID(integration_id),
        day=datetime.now(UTC).date() - timedelta(days=days_ago),
        usd=1,
        costs=(Cost(label="late", model="late", usd=1),),
        reading_id=uuid4(),
        observed_at=then,
    )


async def test_days_that_come_three_months_late_fill_a_gap_and_replace_nothing(
    load: Load, results: list[Result]
) -> None:
    world, (team, integration_id) = load.world, load.teams[0]
    erased = await _erased(world)
    known, gap = (_late_day(integration_id, team.account_id, days_ago=ago) for ago in (3, 95))
    gone = _late_day(erased[1], erased[0].account_id, days_ago=95)
    async with load.running(), sending(world) as sender:
        for one in (known, gap, gone):
            await _late(sender, COSTS, one)
            await _late(sender, COSTS, window_of(one))
        (judged,) = await outcomes(world, gap.reading_id)
        ((about_known),) = await outcomes(world, known.reading_id)

    assert (judged["reconciled"], about_known["reconciled"]) == (True, True)
    assert (await world.shown(team, gap.day, gap.day))[gap.day] == {"late": 1}
    assert await world.rows("SELECT 1 FROM ledger.days WHERE integration_id = %s", erased[1]) == []
    results.append(await load.heals("days come three months late"))


async def test_wishes_commands_and_states_that_come_three_months_late_change_nothing(
    load: Load, results: list[Result]
) -> None:
    world, (team, integration_id) = load.world, load.teams[0]
    then, calls = datetime.now(UTC) - LATE, len(await world.calls(team))
    known: dict[str, Any] = {"account_id": team.account_id, "integration_id": UUID(integration_id)}
    wish = SyncRequested(
        request_id=uuid4().hex, trigger=Trigger.DAILY, integration_id=UUID(integration_id), requested_at=then
    )
    rename = RenameIntegration(**known, command_id=uuid4().hex, label="Late", expires_at=then + timedelta(days=7))
    removed = IntegrationRemoved(
        **known,
        team_id=team.team_id,
        label="Late",
        plan=Plan.FREE,
        status=Status.REMOVED,
        version=1,
        credential_version=1,
        history=History.KEEP,
        added_at=then,
        removed_at=then,
        history_from=then.date(),
        changed_at=then,
    )
    refusal = SyncFailed(
        **known,
        trigger=Trigger.DAILY,
        request_ids=(uuid4().hex,),
        code=Code.KEY_REFUSED,
        final=True,
        attempts=1,
        credential_version=1,
        observed_at=then,
    )
    sealed = CredentialSealed(**known, credential_version=1, wrap_version=1, envelope={"format": "late"})
    behind = good(SYNC_REQUESTS, owner_in(load))
    async with sending(world) as sender:
        for topic, message in (
            (SYNC_REQUESTS, wish),
            (COMMANDS_TOPIC, rename),
            (SYNC_OUTCOMES, refusal),
            (CREDENTIALS, sealed),
        ):
            await _late(sender, topic, message)
        await _late(sender, INTEGRATIONS, removed)
        await sender.good(SYNC_REQUESTS, 0, behind)
        await handled(world, [behind])
        (rejected,) = await answers(world, rename.command_id)
        assert len(await world.calls(team)) == calls
        assert json.loads(rejected)["code"] == "expired"
        assert await world.rows("SELECT 1 FROM syncer.requests WHERE request_id = %s", wish.request_id) == []
    async with load.running():
        await load.force(team, integration_id)

    results.append(await load.heals("wishes, commands and states come three months late"))
    card = await world.card(team, integration_id)
    assert (card["status"], card["label"] == "Late") == ("active", False)


async def test_days_before_all_that_xai_tells_end_without_a_call(load: Load, results: list[Result]) -> None:
    world, (team, integration_id) = load.world, load.teams[0]
    now = datetime.now(UTC)
    wish = SyncRequested(
        request_id=uuid4().hex,
        trigger=Trigger.FORCE,
        integration_id=UUID(integration_id),
        first_day=(now - timedelta(days=100)).date(),
        last_day=(now - timedelta(days=91)).date(),
        requested_at=now,
    )
    async with load.running(), sending(world) as sender:
        load.accepted[wish.request_id] = integration_id
        await sender.good(SYNC_REQUESTS, 0, plain(wish, integration_id))
        ended = await world.ended(team, integration_id, wish.request_id)

    assert (ended["code"], ended["final"]) == ("out_of_range", True)
    results.append(await load.heals("days are asked for that xAI does not tell any more"))


async def _late(sender: Sender, topic: Topic, message: Message) -> None:
    """As if it had been written three months ago, on the partition of its key."""
    at = datetime.now(UTC) - LATE
    key = str(getattr(message, "account_id" if topic is COMMANDS_TOPIC else "integration_id"))
    headers = headers_of(message, event_id=uuid4().hex, source="/test", at=at)
    await sender.plain.send_and_wait(
        topic.name,
        message.model_dump_json().encode(),
        key=key.encode(),
        headers=[(name, text.encode()) for name, text in headers.items()],
        timestamp_ms=int(at.timestamp() * 1000),
    )


async def _erased(world: SystemClient) -> tuple[Team, str]:
    """A team whose account wants nothing of it kept."""
    team = await world.team()
    integration_id = await world.connect(team)
    path = f"/accounts/{team.account_id}/integrations/{integration_id}?history=erase"
    assert (await world.request("DELETE", path)).status_code == 204
    await until(lambda: world.rows("SELECT 1 FROM ledger.erased WHERE integration_id = %s", integration_id))
    return team, integration_id
