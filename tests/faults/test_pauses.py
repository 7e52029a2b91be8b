"""xAI asks to wait, or is away for minutes: it is left in peace for as long, and not longer."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from contract.problems import Code

from tests.faults.support.failing_xai import card_of, failing, line_of
from tests.faults.support.load import Load, Result
from tests.support.system import SystemClient, Team

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
AT_ONCE = (1.0, 10.0)
"""Seconds to the second attempt where xAI asked for nothing sensible: 1 to 2, and what a busy machine takes."""
SIX_HOURS = 6 * 3600.0
OUTAGE = 80.0
"""Seconds: the pauses between probes have become as long as they get."""


def _date_in(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def _retry_after(words: str) -> dict[str, str]:
    if words == "nothing":
        return {}
    dates = {"a date in 15 s": 15, "a date an hour ago": -3600}
    return {"Retry-After": _date_in(dates[words]) if words in dates else words}


@pytest.mark.parametrize(
    "asked",
    [
        {"15": (15, 25), "a date in 15 s": (13, 25), "nothing": AT_ONCE},
        {"0": AT_ONCE, "-5": AT_ONCE, "a date an hour ago": AT_ONCE},
        {"soon": AT_ONCE, "1e9": AT_ONCE, "99999999999": (SIX_HOURS, SIX_HOURS + 10)},
    ],
    ids=", ".join,
)
async def test_what_xai_asks_to_wait_is_obeyed_where_it_makes_sense(
    load: Load, results: list[Result], asked: dict[str, tuple[float, float]]
) -> None:
    world, victims, since = load.world, list(zip(load.teams, asked.items(), strict=False)), datetime.now(UTC)
    faults = [(at, {"status": 429, "headers": _retry_after(words)}) for at, (words, _) in victims]
    async with failing(load, faults):
        for at, (words, (least, most)) in victims:
            line = await line_of(world, at, Code.RATE_LIMITED, since)
            assert least <= _seconds(line["observed_at"], line["next_attempt_at"]) <= most, words
            assert (await card_of(world, at, Code.RATE_LIMITED))["status"] == "active", words

    for (team, _), (_, (least, _)) in victims:
        assert least < SIX_HOURS or len(await _calls_since(world, team, since)) == 1
    await _six_hours_pass(world)
    results.append(await load.heals(f"xAI asks to wait: {', '.join(asked)}"))
    for (team, _), (words, (least, _)) in victims:
        assert least == SIX_HOURS or await _pause_after_429(world, team, since) >= least - 1, words


def _seconds(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


async def _calls_since(world: SystemClient, team: Team, since: datetime) -> list[tuple[str, int]]:
    """When xAI was asked, and what it answered, from its first refusal on."""
    calls = [(one["at"], one["status"]) for one in await world.calls(team) if _seconds(str(since), one["at"]) >= 0]
    return calls[next(number for number, (_, status) in enumerate(calls) if status == 429) :]


async def _pause_after_429(world: SystemClient, team: Team, since: datetime) -> float:
    """Seconds between the first refusal and the next call."""
    first, second = (await _calls_since(world, team, since))[:2]
    return _seconds(first[0], second[0])


async def _six_hours_pass(world: SystemClient) -> None:
    """For whoever was told to wait so long."""
    for statement in (
        """UPDATE syncer.integrations SET retry_after = retry_after - interval '6 hours'
           WHERE retry_after > clock_timestamp() + interval '1 hour' RETURNING 1""",
        """UPDATE syncer.windows SET due_at = due_at - interval '6 hours'
           WHERE due_at > clock_timestamp() + interval '1 hour' RETURNING 1""",
    ):
        await world.rows(statement)


async def test_an_outage_of_minutes_is_made_good_within_one(load: Load, results: list[Result]) -> None:
    await load.world.control("POST", "/faults", {"times": None, "status": 503})
    async with load.running():
        await asyncio.sleep(OUTAGE)  # the fault is an interval
        before = await _calls(load)
        async with asyncio.timeout(OUTAGE):
            while await _calls(load) == before:
                await asyncio.sleep(0.1)
        await load.world.clear_faults()  # at the worst moment: xAI was asked just now

    results.append(await load.heals("xAI answers 503 for more than a minute"))


async def _calls(load: Load) -> int:
    return sum([len(await load.world.calls(team)) for team, _ in load.teams])
