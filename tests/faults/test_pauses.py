"""xAI asks to wait, or is unavailable for minutes: no call is made for as long, and not longer."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from contract.problems import Code

from tests.faults.support.failing_xai import card_of, failing, failure_of
from tests.faults.support.fault import Fault
from tests.faults.support.load import Load
from tests.support.system import SystemClient
from tests.support.xai import Team

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]
AT_ONCE = (1.0, 10.0)
"""Seconds to the second attempt where xAI sent nothing sensible: 1 to 2, and what a busy machine takes."""
SIX_HOURS = 6 * 3600.0
OUTAGE = 80.0
"""Seconds: the pauses between probes have become as long as they get."""


def _date_in(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def _retry_after(value: str) -> dict[str, str]:
    if value == "nothing":
        return {}
    dates = {"a date in 15 s": 15, "a date an hour ago": -3600}
    return {"Retry-After": _date_in(dates[value]) if value in dates else value}


@pytest.mark.parametrize(
    "pauses",
    [
        {"15": (15, 25), "a date in 15 s": (13, 25), "nothing": AT_ONCE},
        {"0": AT_ONCE, "-5": AT_ONCE, "a date an hour ago": AT_ONCE},
        {"soon": AT_ONCE, "1e9": AT_ONCE, "99999999999": (SIX_HOURS, SIX_HOURS + 10)},
    ],
    ids=", ".join,
)
async def test_retry_after_is_obeyed_where_it_makes_sense(
    load: Load, fault: Fault, pauses: dict[str, tuple[float, float]]
) -> None:
    client, victims, since = load.client, list(zip(load.teams, pauses.items(), strict=False)), datetime.now(UTC)
    faults = [(at, {"status": 429, "headers": _retry_after(value)}) for at, (value, _) in victims]

    async with fault(f"xAI asks to wait: {', '.join(pauses)}"):
        async with failing(load, faults):
            for at, (value, (least, most)) in victims:
                line = await failure_of(client, at, Code.RATE_LIMITED, since)
                assert least <= _seconds(line["observed_at"], line["next_attempt_at"]) <= most, value
                assert (await card_of(client, at, Code.RATE_LIMITED))["status"] == "active", value
        for (team, _), (_, (least, _)) in victims:
            assert least < SIX_HOURS or len(await _calls_from_429(client, team, since)) == 1
        await _six_hours_pass(client)

    for (team, _), (value, (least, _)) in victims:
        assert least == SIX_HOURS or await _pause_after_429(client, team, since) >= least - 1, value


def _seconds(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


async def _calls_from_429(client: SystemClient, team: Team, since: datetime) -> list[str]:
    """When xAI was called, from its first refusal on."""
    calls = [(one["at"], one["status"]) for one in await client.calls(team) if _seconds(str(since), one["at"]) >= 0]
    first = next(number for number, (_, status) in enumerate(calls) if status == 429)
    return [at for at, _ in calls[first:]]


async def _pause_after_429(client: SystemClient, team: Team, since: datetime) -> float:
    """Seconds between the first refusal and the next call."""
    first, second = (await _calls_from_429(client, team, since))[:2]
    return _seconds(first, second)


async def _six_hours_pass(client: SystemClient) -> None:
    """For those who must wait so long."""
    for statement in (
        """UPDATE syncer.integrations SET retry_after = retry_after - interval '6 hours'
           WHERE retry_after > clock_timestamp() + interval '1 hour' RETURNING 1""",
        """UPDATE syncer.windows SET due_at = due_at - interval '6 hours'
           WHERE due_at > clock_timestamp() + interval '1 hour' RETURNING 1""",
    ):
        await client.rows(statement)


async def test_an_outage_of_minutes_heals_within_one(load: Load, fault: Fault) -> None:
    async with fault("xAI responds with 503 for more than a minute"):
        await load.client.control("POST", "/faults", {"times": None, "status": 503})
        await asyncio.sleep(OUTAGE)  # the fault is an interval
        before = await _calls(load)
        async with asyncio.timeout(OUTAGE):
            while await _calls(load) == before:
                await asyncio.sleep(0.1)
        await load.client.clear_faults()  # at the worst moment: xAI has just been called


async def _calls(load: Load) -> int:
    return sum([len(await load.client.calls(team)) for team, _ in load.teams])
