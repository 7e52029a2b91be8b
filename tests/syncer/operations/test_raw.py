"""Operators look at what the provider answered, byte for byte."""

from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
from common.errors import UsageError, UserError
from syncer.domain import Days
from syncer.operations import raw
from syncer.operations.raw import Part
from syncer.provider import RawAnswer, Reading

from tests.syncer.support.provider import RAW, reading_of
from tests.syncer.support.syncer import SyncerHarness


async def test_all_answers_of_a_reading_are_shown_in_their_order(syncer: SyncerHarness) -> None:
    days = await syncer.recent()
    middle = days.first + timedelta(days=3)
    syncer.xai.answers.append(lambda asked: _in_two_parts(asked, middle))
    await syncer.ask(await syncer.integration(), days=days)
    await syncer.settle()

    parts = await _parts(syncer, syncer.readings()[0].reading_id)

    assert [(one.first_day, one.body) for one in parts] == [(days.first, RAW), (middle, RAW + b" ")]


async def test_an_answer_that_was_changed_is_not_shown(syncer: SyncerHarness) -> None:
    await syncer.ask(await syncer.integration())
    await syncer.settle()
    await syncer.sql("UPDATE raw_answers SET body = body || 'x'::bytea, sha256 = sha256(body)")

    with pytest.raises(UserError, match=r"part 0 of reading .* is damaged"):
        await _parts(syncer, syncer.readings()[0].reading_id)


async def test_a_reading_without_an_answer_is_unknown(syncer: SyncerHarness) -> None:
    with pytest.raises(UsageError, match="kept for 90 days"):
        await _parts(syncer, uuid4())


def _in_two_parts(days: Days, middle: date) -> Reading:
    whole = reading_of(days)
    (one,) = whole.parts
    parts = (one, RawAnswer(middle, days.last, RAW + b" "))
    return Reading(whole.first_day, whole.last_day, whole.days, whole.cut_days, parts)


async def _parts(syncer: SyncerHarness, reading_id: UUID) -> list[Part]:
    async with syncer.database.transaction() as connection:
        return await raw.parts_of(connection, reading_id)
