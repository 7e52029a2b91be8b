"""xAI fails one team in every way it can: its card says so, nobody else waits for it, and afterwards all of it is made good."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from contract.fields import Trigger
from contract.messages import Cost, CostRecorded, SyncRequested, WindowRead
from contract.problems import CAUSES, Code
from contract.topics import COSTS, SYNC_REQUESTS

from tests.faults.support.failing_xai import Connected, card_of, failing, line_of, publish
from tests.faults.support.load import Load, Result
from tests.support.system import SystemClient, Team
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)
GIVEN_UP_AFTER = 45.0
"""Seconds: a call has 30, and the line in the history some more."""
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
    "504 in HTML": ({"status": 504, "html": True}, Code.XAI_UNAVAILABLE),
    "JSON that is cut": ({"body": '{"timeSeries": [{"gro'}, Code.ANSWER_UNREADABLE),
    "an answer for another range": ({"body": ANOTHER_RANGE}, Code.ANSWER_UNREADABLE),
}
QUICK = {"404"}
ENDLESS: dict[str, dict[str, Any]] = {
    "says nothing": {"hang": True},
    "says nothing more after its headers": {"drip_ms": 600_000},
    "says a byte every 200 ms": {"drip_ms": 200},
}


@pytest.mark.parametrize(
    "fault", [pytest.param(one, marks=() if one in QUICK else pytest.mark.thorough) for one in FAULTS]
)
async def test_a_team_that_xai_answers_so_is_told_and_nobody_else_waits(
    load: Load, results: list[Result], fault: str
) -> None:
    (scripted, code), victim, since = FAULTS[fault], load.teams[0], datetime.now(UTC)
    async with failing(load, [(victim, scripted)]):
        line, card = await line_of(load.world, victim, code, since), await card_of(load.world, victim, code)

    refused = code in {Code.ACCESS_DENIED, Code.TEAM_UNKNOWN}
    assert (card["status"] == "error", line["final"], line["next_attempt_at"] is None) == (refused,) * 3
    assert (card["status_text"], card["status_detail"]) == (CAUSES[code].title, CAUSES[code].detail)
    results.append(await load.heals(f"xAI answers one team with {fault}"))


@pytest.mark.thorough
async def test_answers_without_end_are_left_and_nobody_else_waits(load: Load, results: list[Result]) -> None:
    victims, since, began = load.teams[: len(ENDLESS)], datetime.now(UTC), time.monotonic()
    async with failing(load, list(zip(victims, ENDLESS.values(), strict=True))):
        for victim in victims:
            await line_of(load.world, victim, Code.XAI_UNAVAILABLE, since)
        assert time.monotonic() - began < GIVEN_UP_AFTER

    results.append(await load.heals("xAI's answers to three teams have no end"))


@pytest.mark.thorough
async def test_a_slow_team_that_many_have_connected_delays_nobody_else(load: Load, results: list[Result]) -> None:
    world, team = load.world, await load.world.team()
    accounts = [replace(team, account_id=f"account-{uuid4().hex[:12]}") for _ in range(CALLS_IN_FLIGHT + 1)]
    slow = [(one, await world.connect(one)) for one in accounts]
    before = len(await world.calls(team))
    async with failing(load, [(one, {"hang": True}) for one in slow]):
        await until(lambda: world.calls(team), lambda calls: len(calls) == before + 2)  # the first was given up

    results.append(await load.heals("xAI does not answer about a team that nine accounts connected"))


async def test_a_refused_team_comes_back_with_the_next_daily_run(load: Load, results: list[Result]) -> None:
    victim = load.teams[0]
    async with failing(load, [(victim, {"status": 403})]):
        await card_of(load.world, victim, Code.ACCESS_DENIED)

    await _daily_run(load.world)

    await until(lambda: load.world.card(*victim), lambda card: card["status"] == "active")
    results.append(await load.heals("xAI refuses one team until the next daily run"))


async def _daily_run(world: SystemClient) -> None:
    """As the cron emitter asks for it: for everybody."""
    now, request_id = datetime.now(UTC), f"daily-{uuid4()}"
    wish = SyncRequested(request_id=request_id, trigger=Trigger.DAILY, integration_id=None, requested_at=now)
    await publish(world, SYNC_REQUESTS, wish, key="all", event_id=request_id)


@pytest.mark.parametrize("status", [302, pytest.param(308, marks=pytest.mark.thorough)])
async def test_a_redirect_takes_the_key_nowhere(load: Load, results: list[Result], status: int) -> None:
    victim, since, heard = load.teams[0], datetime.now(UTC), []

    async def hear(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(writer.get_extra_info("peername"))
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1") as elsewhere:
        port = elsewhere.sockets[0].getsockname()[1]
        fault = {"status": status, "redirect": f"http://127.0.0.1:{port}/v1/billing"}
        async with failing(load, [(victim, fault)]):
            await line_of(load.world, victim, Code.XAI_UNAVAILABLE, since)
        results.append(await load.heals(f"xAI redirects one team, {status}"))
    assert heard == []


@pytest.mark.thorough
async def test_models_that_come_go_and_are_renamed_leave_no_old_figure(load: Load, results: list[Result]) -> None:
    first = datetime.now(UTC).date() - timedelta(days=6)
    changes: list[tuple[str, dict[str, str | None]]] = [
        ("labels", {"label": "grok-4-fast-reasoning", "becomes": "grok-4-fast-thinking"}),
        ("labels", {"label": "Chat grok-4-0709", "becomes": None}),
        ("models", {"label": "grok-5-preview"}),
    ]
    async with load.running():
        for path, change in changes:
            for team, _ in load.teams:
                await load.world.control("POST", f"/teams/{team.team_id}/{path}", {**change, "from_day": str(first)})
            await load.force(*load.teams[0])

    results.append(await load.heals("models come, go and are renamed"))
    today = datetime.now(UTC).date()
    shown = await load.world.shown(load.teams[0][0], first, today)
    assert not {"grok-4-fast-reasoning", "Chat grok-4-0709"} & {label for costs in shown.values() for label in costs}


@pytest.mark.thorough
async def test_a_reading_of_which_only_some_days_were_published_is_made_whole(
    load: Load, results: list[Result]
) -> None:
    since = datetime.now(UTC)
    for victim in load.teams[:3]:
        await _publish_half(load.world, *victim)

    for victim in load.teams[:3]:
        await until(partial(_healings, load.world, victim, since))
    results.append(await load.heals("only some days of a reading are published"))


async def _healings(world: SystemClient, at: Connected, since: datetime) -> int:
    """Readings that nobody asked for, of days that add up again."""
    lines = await world.syncs(*at)
    return sum(
        one["trigger"] == "heal" and one["reconciled"] and datetime.fromisoformat(one["at"]) >= since for one in lines
    )


async def _publish_half(world: SystemClient, team: Team, integration_id: str) -> None:
    """Of four days that a reading had, the ledger hears of the second one only, with a figure that is xAI's no more."""
    days = [datetime.now(UTC).date() - timedelta(days=ago) for ago in (5, 4, 3, 2)]
    reading_id, usd = uuid4(), Decimal("7.25")
    about: dict[str, Any] = {
        "account_id": team.account_id,
        "integration_id": UUID(integration_id),
        "reading_id": reading_id,
        "observed_at": datetime.now(UTC),
    }
    cost = Cost(label="grok-4-fast", model="grok-4-fast", usd=usd)
    window = WindowRead(
        **about,
        first_day=days[0],
        last_day=days[-1],
        totals=dict.fromkeys(days, usd),
        trigger=Trigger.DAILY,
        request_ids=(f"half-{reading_id}",),
        credential_version=1,
    )
    for message in (CostRecorded(**about, day=days[1], usd=usd, costs=(cost,)), window):
        event_id = f"{reading_id}:{type(message).__name__}"
        await publish(world, COSTS, message, key=integration_id, event_id=event_id)
