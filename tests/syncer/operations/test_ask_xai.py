"""Operators ask xAI about everybody, by label and as sums, and nothing changes by it."""

from datetime import date, timedelta
from typing import Any

from common.rate_limits import SECOND, Rate
from contract.problems import Code
from syncer.operations.ask_xai import Asking
from syncer.xai.pacing import Pace
from xai_usage import CallRefused, CallTransient

from tests.syncer.support.syncer import World


async def _ask(world: World, *, days: int = 89, pace: Pace | None = None) -> list[dict[str, Any]]:
    since = await world.today() - timedelta(days=days)
    asking = Asking(world.database, world.xai, pace or Pace())
    return [said async for said in asking.all(since, None)]


def _asked(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one["asked"] for one in said if "asked" in one]


async def test_every_readable_day_is_asked_about_in_windows_of_thirty_days(world: World) -> None:
    await world.integration()

    said = _asked(await _ask(world))

    assert [len(one["days"]) for one in said] == [30, 30, 30]
    assert all(one["days"].keys() == one["sums"].keys() for one in said)
    days = [date.fromisoformat(day) for one in said for day in one["days"]]
    assert (days[0], days[-1]) == (await world.today() - timedelta(days=89), await world.today())
    assert len(world.xai.asked) == 6


async def test_whoever_cannot_be_asked_about_is_named_and_holds_up_nobody(world: World) -> None:
    for _ in range(3):
        await world.integration()
    ids = [row.integration_id for row in await world.sql("SELECT * FROM integrations ORDER BY integration_id")]
    await world.sql("DELETE FROM credentials WHERE integration_id = :id", id=ids[1])
    world.xai.answers.append(CallRefused(Code.KEY_REFUSED))

    said = _asked(await _ask(world))

    assert [(one["integration_id"], one["code"]) for one in said if "code" in one] == [
        (str(ids[0]), "key_refused"),
        (str(ids[1]), "unsealable"),
    ]
    assert [one["integration_id"] for one in said if "days" in one] == [str(ids[2])] * 3


async def test_what_was_removed_is_not_asked_about(world: World) -> None:
    await world.remove(await world.integration())

    assert await _ask(world) == [{"report": {"integrations": 0}}]
    assert world.xai.asked == []


async def test_nothing_is_queued_published_or_marked(world: World) -> None:
    await world.integration()
    world.xai.answers.extend([CallTransient(Code.XAI_UNAVAILABLE), CallRefused(Code.KEY_REFUSED)])
    before = await world.sql("SELECT * FROM integrations")

    await _ask(world)
    await _ask(world)

    assert await world.sql("SELECT * FROM integrations") == before
    assert (await world.windows(), await world.requests(), world.publisher.records) == ([], [], [])


async def test_a_team_is_asked_about_no_more_often_than_by_a_running_syncer(world: World) -> None:
    await world.integration()
    now = 0

    def clock() -> int:
        nonlocal now
        now += SECOND // 10
        return now

    await _ask(world, days=7, pace=Pace(per_team=Rate(1, 30), clock=clock))

    assert len(world.xai.asked) == 2
    assert now > 29 * SECOND
