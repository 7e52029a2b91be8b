"""Operators list the questioned days, and accept what xAI reports of them."""

from datetime import date, timedelta
from decimal import Decimal

from common.metrics import QUESTIONS_OPEN
from contract.fields import Trigger
from syncer.domain import Days
from syncer.operations import questions
from syncer.operations.questions import OpenQuestion

from tests.syncer.support.provider import empty, reading_of
from tests.syncer.support.syncer import SyncerHarness

LONG_AGO = 40


async def _forgotten(syncer: SyncerHarness) -> date:
    """A day of long ago that xAI once reported, and reports no more."""
    integration_id, day = await syncer.integration(), await syncer.today() - timedelta(days=LONG_AGO)
    for answer in (reading_of, empty):
        syncer.xai.answers.append(answer)
        await syncer.ask(integration_id, Trigger.FORCE, Days(day, day))
        await syncer.settle()
    await syncer.sql("UPDATE integrations SET history_from = current_date")
    return day


async def _open(syncer: SyncerHarness) -> list[OpenQuestion]:
    async with syncer.database.transaction() as connection:
        return await questions.questions(connection)


async def test_a_day_of_long_ago_is_listed_until_an_operator_accepts_it(syncer: SyncerHarness) -> None:
    day = await _forgotten(syncer)
    (found,) = await _open(syncer)
    assert (found.day, found.kind, found.waits_for) == (day, "less", "operator")
    assert (found.known_usd, found.answered_usd) == (Decimal("1.25"), Decimal(0))
    await syncer.sql("UPDATE questions SET asked_at = asked_at - interval '9 days', ask_again_at = asked_at")
    syncer.xai.answers.extend([empty] * 2)
    await syncer.healer.round()
    await syncer.settle()
    assert [one.day for one in await _open(syncer)] == [day]

    async with syncer.database.transaction() as connection:
        accepted = await questions.accept(connection, found.integration_id, [day, day - timedelta(days=1)])
    await syncer.healer.round()
    await syncer.settle()

    assert accepted == [day]
    assert await _open(syncer) == []
    assert syncer.readings()[-1].totals == {day: 0}


async def test_open_questions_are_counted_by_kind_and_by_whom_they_wait_for(syncer: SyncerHarness) -> None:
    await syncer.housekeeping.count_questions()
    assert _counted("operator") == _counted("xai") == 0
    await _forgotten(syncer)

    await syncer.housekeeping.count_questions()

    assert (_counted("operator"), _counted("xai")) == (1, 0)


def _counted(waits_for: str) -> float:
    (metric,) = QUESTIONS_OPEN.collect()
    return sum(one.value for one in metric.samples if one.labels["waits_for"] == waits_for)
