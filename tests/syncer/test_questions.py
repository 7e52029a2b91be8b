"""A day that loses money is left out of what is published until the provider has repeated it for a while."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from contract.cloudevents import Event
from contract.fields import History, Trigger
from contract.messages import SyncCompleted
from contract.problems import Code
from syncer.domain import Days
from syncer.provider import Reading, ReadRefusedError

from tests.support.messages import now, sync_completed
from tests.syncer.support.provider import empty, reading_of
from tests.syncer.support.syncer import SyncerHarness

EMPTY: dict[str, Decimal] = {}


def one_day(day: date, costs: dict[str, Decimal]) -> Callable[[Days], Reading]:
    """Other costs of that day, and the usual ones of all other days."""

    def answer(days: Days) -> Reading:
        usual = reading_of(days)
        other = reading_of(Days(day, day), costs).days
        return Reading(days.first, days.last, {**usual.days, **other}, frozenset(), usual.parts)

    return answer


async def known(syncer: SyncerHarness) -> tuple[UUID, Days]:
    """An integration whose last week and today have been read."""
    days = await syncer.recent()
    integration_id = await syncer.integration(history_from=days.first)
    await read(syncer, integration_id, days)
    syncer.publisher.published.clear()
    return integration_id, days


async def read(syncer: SyncerHarness, integration_id: UUID, days: Days) -> None:
    await syncer.ask(integration_id, Trigger.FORCE, days)
    await syncer.settle()


async def heal(syncer: SyncerHarness) -> int:
    """A round of the healer, and the number of calls that it caused."""
    before = len(syncer.xai.calls)
    await syncer.healer.round()
    await syncer.settle()
    return len(syncer.xai.calls) - before


async def questioned(syncer: SyncerHarness) -> list[date]:
    return [row.day for row in await syncer.sql("SELECT day FROM questions ORDER BY day")]


async def test_an_empty_answer_publishes_today_alone_and_lists_the_questioned_days(syncer: SyncerHarness) -> None:
    integration_id, days = await known(syncer)
    syncer.xai.answers.append(empty)

    await read(syncer, integration_id, days)

    (window,) = syncer.readings()
    assert list(window.totals) == [days.last]
    assert window.questioned_days == tuple(days.first + timedelta(days=number) for number in range(7))
    assert [one.day for one in syncer.publisher.messages("CostRecorded")] == [days.last]
    assert len(await syncer.sql("SELECT 1 FROM raw_answers")) == 2


async def test_a_window_without_questions_has_no_such_field(syncer: SyncerHarness) -> None:
    integration_id, days = await known(syncer)

    await read(syncer, integration_id, days)

    assert syncer.readings()[0].questioned_days is None


async def test_a_window_of_which_nothing_is_left_ends_as_questioned(syncer: SyncerHarness) -> None:
    integration_id, days = await known(syncer)
    syncer.xai.answers.append(empty)

    await read(syncer, integration_id, Days(days.first, days.first))

    (failure,) = syncer.failures()
    assert (failure.code, failure.final) == (Code.ANSWER_QUESTIONED, True)
    assert failure.observed_at is not None
    assert syncer.readings() == []


async def test_a_day_that_recovers_is_published_when_the_healer_asks_after_a_quarter_of_an_hour(
    syncer: SyncerHarness,
) -> None:
    integration_id, days = await known(syncer)
    syncer.xai.answers.append(one_day(days.first, EMPTY))
    await read(syncer, integration_id, days)
    assert await heal(syncer) == 0

    await syncer.age_questions(timedelta(minutes=15))

    assert await heal(syncer) == 1
    assert await questioned(syncer) == []
    assert syncer.readings()[-1].totals == {days.first: Decimal("1.25")}
    assert await heal(syncer) == 0


async def test_a_true_fall_is_published_after_a_quarter_of_an_hour(syncer: SyncerHarness) -> None:
    integration_id, days = await known(syncer)
    fallen = one_day(days.first, {"Chat grok-4-0709": Decimal("0.25")})
    syncer.xai.answers.extend([fallen, fallen])
    await read(syncer, integration_id, days)
    await syncer.age_questions(timedelta(minutes=15))

    await heal(syncer)

    assert syncer.readings()[-1].totals == {days.first: Decimal("0.25")}
    assert await questioned(syncer) == []


async def test_a_person_who_asks_at_once_shortens_nothing(syncer: SyncerHarness) -> None:
    integration_id, days = await known(syncer)
    fallen = one_day(days.first, EMPTY)
    syncer.xai.answers.extend([fallen, fallen, fallen])
    for _ in range(3):
        await read(syncer, integration_id, days)

    assert all(window.questioned_days == (days.first,) for window in syncer.readings())
    assert len(await questioned(syncer)) == 1


async def test_where_most_is_gone_it_takes_six_hours_whatever_window_asks(syncer: SyncerHarness) -> None:
    integration_id, days = await known(syncer)
    syncer.xai.answers.extend([empty] * 9)
    await read(syncer, integration_id, days)
    for pause, asked in ((timedelta(minutes=15), 1), (timedelta(minutes=45), 1), (timedelta(hours=4), 0)):
        await syncer.age_questions(pause)
        assert await heal(syncer) == asked
        assert len(await questioned(syncer)) == 7

    await syncer.age_questions(timedelta(hours=1))
    await heal(syncer)

    assert await questioned(syncer) == []
    assert set(syncer.readings()[-1].totals.values()) == {Decimal(0)}


async def test_a_question_is_not_asked_while_the_key_is_refused_or_the_integration_removed(
    syncer: SyncerHarness,
) -> None:
    integration_id, days = await known(syncer)
    syncer.xai.answers.extend([empty, ReadRefusedError(Code.KEY_REFUSED)])
    await read(syncer, integration_id, days)
    await read(syncer, integration_id, days)
    await syncer.age_questions(timedelta(hours=1))
    assert await heal(syncer) == 0

    await syncer.remove(integration_id)

    assert await questioned(syncer) == []
    assert len(await syncer.sql("SELECT 1 FROM known_days")) == 8  # its history is kept


async def test_what_is_known_is_erased_with_the_integration(syncer: SyncerHarness) -> None:
    integration_id, _ = await known(syncer)

    await syncer.remove(integration_id, history=History.ERASE)

    assert await syncer.sql("SELECT 1 FROM known_days") == []


async def test_a_questioned_day_is_neither_covered_nor_healed_as_missing(syncer: SyncerHarness) -> None:
    integration_id, days = await known(syncer)
    syncer.xai.answers.append(one_day(days.first, EMPTY))
    await read(syncer, integration_id, days)
    (window,) = syncer.readings()
    fields = window.model_dump(exclude={"totals", "answers"}) | {"usd": 1, "days_changed": 0, "reconciled": True}
    await syncer.handlers.sync_completed(Event(SyncCompleted.model_validate(fields), "any", now()))

    covered = await syncer.sql("SELECT day FROM coverage WHERE confirmed_at IS NOT NULL")

    assert len(covered) == 7
    assert days.first not in {row.day for row in covered}
    assert await heal(syncer) == 0


async def test_a_day_that_the_ledger_could_not_reconcile_is_healed_as_ever(syncer: SyncerHarness) -> None:
    integration_id, days = await known(syncer)
    doubtful = sync_completed(integration_id, first_day=days.last - timedelta(days=1), last_day=days.last)
    doubtful = doubtful.model_copy(update={"reconciled": False, "unreconciled_days": (doubtful.first_day,)})
    await syncer.handlers.sync_completed(Event(doubtful, "any", now()))

    assert await heal(syncer) == 1


async def test_where_the_window_of_a_question_fails_it_is_asked_again_after_the_next_pause_only(
    syncer: SyncerHarness,
) -> None:
    integration_id, days = await known(syncer)
    syncer.xai.answers.append(one_day(days.first, EMPTY))
    await read(syncer, integration_id, days)
    await syncer.age_questions(timedelta(minutes=15))
    await syncer.healer.round()
    await syncer.sql("UPDATE windows SET closed_at = clock_timestamp()")

    assert await heal(syncer) == 0
    await syncer.age_questions(timedelta(minutes=45))
    assert await heal(syncer) == 1


@pytest.mark.parametrize("rename", ["API grok-4-0709", "grok-4-0709"])
async def test_a_label_that_is_renamed_is_published_at_once(syncer: SyncerHarness, rename: str) -> None:
    integration_id, days = await known(syncer)
    syncer.xai.answers.append(lambda asked: reading_of(asked, {rename: Decimal("1.25")}))

    await read(syncer, integration_id, days)

    assert syncer.readings()[0].questioned_days is None


async def test_a_question_that_waits_for_an_instant_the_clock_stepped_back_from_is_asked_after_the_repair(
    syncer: SyncerHarness,
) -> None:
    integration_id, days = await known(syncer)
    syncer.xai.answers.append(one_day(days.first, EMPTY))
    await read(syncer, integration_id, days)
    await syncer.housekeeping.repair_clock_steps()
    assert await heal(syncer) == 0

    await syncer.sql("UPDATE questions SET ask_again_at = ask_again_at + interval '30 hours'")
    await syncer.housekeeping.repair_clock_steps()

    assert await heal(syncer) == 1


async def test_a_day_that_xai_refuses_for_its_age_is_not_asked_about(syncer: SyncerHarness) -> None:
    integration_id, days = await known(syncer)
    syncer.xai.answers.append(one_day(days.first, EMPTY))
    await read(syncer, integration_id, days)
    await syncer.age_questions(timedelta(hours=1))

    await syncer.sql("UPDATE integrations SET beyond_xai_until = :day", day=days.first)

    assert await heal(syncer) == 0
