"""Operators ask xAI about everybody, by label and as sums, and nothing changes by it."""

from datetime import date, timedelta
from typing import Any

from common.rate_limits import SECOND, Rate
from contract.problems import Code
from syncer.operations.ask_xai import Asking
from syncer.provider import ReadRefusedError, ReadTransientError
from syncer.xai.pacing import CallLimits

from tests.syncer.support.syncer import SyncerHarness


async def _ask(syncer: SyncerHarness, *, days: int = 89, limits: CallLimits | None = None) -> list[dict[str, Any]]:
    since = await syncer.today() - timedelta(days=days)
    asking = Asking(syncer.database, syncer.xai, limits or CallLimits())
    return [said async for said in asking.all(since, None)]


def _asked(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one["asked"] for one in said if "asked" in one]


async def test_every_readable_day_is_asked_about_in_windows_of_thirty_days(syncer: SyncerHarness) -> None:
    await syncer.integration()

    said = _asked(await _ask(syncer))

    assert [len(one["days"]) for one in said] == [30, 30, 30]
    assert all(one["days"].keys() == one["sums"].keys() for one in said)
    days = [date.fromisoformat(day) for one in said for day in one["days"]]
    assert (days[0], days[-1]) == (await syncer.today() - timedelta(days=89), await syncer.today())
    assert len(syncer.xai.calls) == 6


async def test_whoever_cannot_be_asked_about_is_named_and_holds_up_nobody(syncer: SyncerHarness) -> None:
    for _ in range(3):
        await syncer.integration()
    ids = [row.integration_id for row in await syncer.sql("SELECT * FROM integrations ORDER BY integration_id")]
    await syncer.sql("DELETE FROM credentials WHERE integration_id = :id", id=ids[1])
    syncer.xai.answers.append(ReadRefusedError(Code.KEY_REFUSED))

    said = _asked(await _ask(syncer))

    assert [(one["integration_id"], one["code"]) for one in said if "code" in one] == [
        (str(ids[0]), "key_refused"),
        (str(ids[1]), "unsealable"),
    ]
    assert [one["integration_id"] for one in said if "days" in one] == [str(ids[2])] * 3


async def test_what_was_removed_is_not_asked_about(syncer: SyncerHarness) -> None:
    await syncer.remove(await syncer.integration())

    assert await _ask(syncer) == [{"report": {"integrations": 0}}]
    assert syncer.xai.calls == []


async def test_nothing_is_queued_published_or_marked(syncer: SyncerHarness) -> None:
    await syncer.integration()
    syncer.xai.answers.extend([ReadTransientError(Code.XAI_UNAVAILABLE), ReadRefusedError(Code.KEY_REFUSED)])
    before = await syncer.sql("SELECT * FROM integrations")

    await _ask(syncer)
    await _ask(syncer)

    assert await syncer.sql("SELECT * FROM integrations") == before
    assert (await syncer.windows(), await syncer.requests(), syncer.publisher.published) == ([], [], [])


async def test_a_team_is_asked_about_no_more_often_than_by_a_running_syncer(syncer: SyncerHarness) -> None:
    await syncer.integration()
    now = 0

    def clock() -> int:
        nonlocal now
        now += SECOND // 10
        return now

    await _ask(syncer, days=7, limits=CallLimits(per_team=Rate(1, 30), clock=clock))

    assert len(syncer.xai.calls) == 2
    assert now > 29 * SECOND
