"""xAI fails for one team in every way: its card shows it, no other team waits, and afterwards nothing is missing."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from contract.fields import Trigger
from contract.problems import CAUSES, Code
from contract.rules import REFUSALS
from contract.topics import COSTS, SYNC_REQUESTS

from tests.faults.support.failing_xai import card_of, failing, failure_of, publish
from tests.faults.support.fault import Fault
from tests.faults.support.load import Connected, Load
from tests.support.messages import cost_recorded, sync_requested, window_read
from tests.support.system import SystemClient
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)
ABANDONED_AFTER = 45.0
"""Seconds: a call has 30, and its line in the history a few more."""
CALLS_IN_FLIGHT = 8
"""Of a syncer, at most."""
ANOTHER_RANGE = (
    '{"timeSeries": [{"group": ["grok-4"], "groupLabels": ["grok-4"], "dataPoints": '
    '[{"timestamp": "2025-01-01T00:00:00Z", "values": [1]}]}], "limitReached": false}'
)
FAULTS: dict[str, tuple[dict[str, Any], Code]] = {
    "403": ({"status": 403}, Code.ACCESS_DENIED),
    "404": ({"status": 404}, Code.TEAM_UNKNOWN),
    "500": ({"status": 500}, Code.XAI_UNAVAILABLE),
    "400 about the key": ({"status": 400, "body": '{"error": "Incorrect API key provided"}'}, Code.KEY_REFUSED),
    "403 in HTML": ({"status": 403, "html": True}, Code.XAI_UNAVAILABLE),
    "points at 07:00Z": ({"shift_hours": 7}, Code.ANSWER_UNREADABLE),
    "504 in HTML": ({"status": 504, "html": True}, Code.XAI_UNAVAILABLE),
    "JSON that is cut": ({"body": '{"timeSeries": [{"gro'}, Code.ANSWER_UNREADABLE),
    "another range": ({"body": ANOTHER_RANGE}, Code.ANSWER_UNREADABLE),
}
QUICK = {"404"}
ODDITIES = {
    "noise": "sums of doubles, added in another order at each call",
    "tiny_amounts": "1.2E-45 instead of zero",
    "mixed_names": "one proto name among others",
    "other_offset": "the same instants in another notation",
}
ENDLESS: dict[str, dict[str, Any]] = {
    "no byte": {"hang": True},
    "no byte after the headers": {"drip_ms": 600_000},
    "a byte every 200 ms": {"drip_ms": 200},
}


@pytest.mark.parametrize(
    "response", [pytest.param(one, marks=() if one in QUICK else pytest.mark.thorough) for one in FAULTS]
)
async def test_a_team_that_xai_fails_shows_it_and_no_other_team_waits(load: Load, fault: Fault, response: str) -> None:
    (scripted, code), victim, since = FAULTS[response], load.teams[0], datetime.now(UTC)

    async with fault(f"xAI responds to one team with {response}"), failing(load, [(victim, scripted)]):
        line, card = await failure_of(load.client, victim, code, since), await card_of(load.client, victim, code)

    refused = code in REFUSALS
    assert (card["status"] == "error", line["final"], line["next_attempt_at"] is None) == (refused,) * 3
    assert (card["status_text"], card["status_detail"]) == (CAUSES[code].title, CAUSES[code].detail)


@pytest.mark.thorough
async def test_responses_without_end_are_abandoned_and_no_other_team_waits(load: Load, fault: Fault) -> None:
    victims, since, began = load.teams[: len(ENDLESS)], datetime.now(UTC), time.monotonic()

    async with (
        fault("xAI's responses to three teams have no end"),
        failing(load, list(zip(victims, ENDLESS.values(), strict=True))),
    ):
        for victim in victims:
            await failure_of(load.client, victim, Code.XAI_UNAVAILABLE, since)
        assert time.monotonic() - began < ABANDONED_AFTER


@pytest.mark.thorough
async def test_a_slow_team_that_many_accounts_have_connected_delays_no_other_team(load: Load, fault: Fault) -> None:
    client, team = load.client, await load.client.team()
    accounts = [replace(team, account_id=f"account-{uuid4().hex[:12]}") for _ in range(CALLS_IN_FLIGHT + 1)]
    slow = [(one, await client.connect(one)) for one in accounts]
    before = len(await client.calls(team))

    async with (
        fault("xAI does not respond about a team that nine accounts have connected"),
        failing(load, [(one, {"hang": True}) for one in slow]),
    ):
        await until(lambda: client.calls(team), lambda calls: len(calls) == before + 2)  # the first has timed out


async def test_a_refused_team_is_active_after_the_next_daily_run(load: Load, fault: Fault) -> None:
    victim = load.teams[0]

    async with fault("xAI refuses one team until the next daily run"):
        async with failing(load, [(victim, {"status": 403})]):
            await card_of(load.client, victim, Code.ACCESS_DENIED)
        await _daily_run(load.client)
        await until(lambda: load.client.card(*victim), lambda card: card["status"] == "active")


async def _daily_run(client: SystemClient) -> None:
    """As the cron emitter requests it, for all integrations."""
    request_id = f"daily-{uuid4()}"
    request = sync_requested(None, request_id=request_id, trigger=Trigger.DAILY)
    await publish(client, SYNC_REQUESTS, request, key="all", event_id=request_id)


@pytest.mark.parametrize("status", [302, pytest.param(308, marks=pytest.mark.thorough)])
async def test_a_redirect_carries_the_key_nowhere(load: Load, fault: Fault, status: int) -> None:
    victim, since, connections = load.teams[0], datetime.now(UTC), []

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer.get_extra_info("peername"))
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1") as elsewhere:
        port = elsewhere.sockets[0].getsockname()[1]
        redirect = {"status": status, "redirect": f"http://127.0.0.1:{port}/v1/billing"}
        async with fault(f"xAI redirects one team, {status}"), failing(load, [(victim, redirect)]):
            await failure_of(load.client, victim, Code.XAI_UNAVAILABLE, since)
    assert connections == []


@pytest.mark.thorough
@pytest.mark.parametrize("scenario", ODDITIES)
async def test_an_odd_form_of_xais_answers_changes_no_figure(load: Load, fault: Fault, scenario: str) -> None:
    async with fault(f"xAI answers with {ODDITIES[scenario]}"):
        await load.client.control("POST", f"/scenarios/{scenario}", {})
        for one in load.teams:
            await load.force(*one)
    await load.client.clear_faults()


@pytest.mark.thorough
async def test_models_that_appear_vanish_and_are_renamed_leave_no_old_figure(load: Load, fault: Fault) -> None:
    client, first = load.client, datetime.now(UTC).date() - timedelta(days=6)
    changes: list[tuple[str, dict[str, str | None]]] = [
        ("labels", {"label": "grok-4-fast-reasoning", "becomes": "grok-4-fast-thinking"}),
        ("labels", {"label": "Chat grok-4-0709", "becomes": None}),
        ("models", {"label": "grok-5-preview"}),
    ]

    name = "models appear, vanish and are renamed, and an operator accepts that"
    async with fault(name, under_load=False):  # which restates days, and raises questions that nobody accepts
        for path, change in changes:
            for team, _ in load.teams:
                await client.control("POST", f"/teams/{team.team_id}/{path}", {**change, "from_day": str(first)})
            await load.force(*load.teams[0])
        for at in load.teams:
            await client.ended(*at, await until(partial(load.force, *at)))
            await client.run("questions", "accept", at[1], "--all")

    shown = await client.shown(load.teams[0][0], first, datetime.now(UTC).date())
    assert not {"grok-4-fast-reasoning", "Chat grok-4-0709"} & {label for costs in shown.values() for label in costs}


@pytest.mark.thorough
async def test_a_reading_with_only_some_days_published_is_completed(load: Load, fault: Fault) -> None:
    since, victims = datetime.now(UTC), load.teams[:3]

    async with fault("only some days of a reading are published", under_load=False):
        for victim in victims:
            await _publish_half(load.client, victim)
        for victim in victims:
            await until(partial(_healed, load.client, victim, since))


async def _healed(client: SystemClient, at: Connected, since: datetime) -> bool:
    """Whether a reading that nobody requested has reconciled."""
    return any(
        one["trigger"] == "heal" and one["reconciled"] and datetime.fromisoformat(one["at"]) >= since
        for one in await client.syncs(*at)
    )


async def _publish_half(client: SystemClient, at: Connected) -> None:
    """Of a reading's four days publish the second only, with a figure that is no longer xAI's."""
    (team, integration_id), costs = at, {"grok-4-fast": "7.25"}
    days = [datetime.now(UTC).date() - timedelta(days=ago) for ago in (5, 4, 3, 2)]
    second = cost_recorded(integration_id, costs, account_id=team.account_id, day=days[1])
    window = window_read(
        second, first_day=days[0], last_day=days[-1], totals=dict.fromkeys(days, second.usd), trigger=Trigger.DAILY
    )
    for message in (second, window):
        event_id = f"{second.reading_id}:{type(message).__name__}"
        await publish(client, COSTS, message, key=integration_id, event_id=event_id)
