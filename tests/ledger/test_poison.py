"""What cannot be written or announced is dead-lettered alone; nothing else waits for it."""

from collections.abc import Callable
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord
from sqlalchemy.exc import ProgrammingError

from tests.ledger.support.ledger import FIRST, LedgerHarness, Reading, reading_of, record_of

BEFORE_TIME = "0001-01-01T00:00:00+14:00"
"""An instant that has no equivalent in UTC."""


def _reasons(ledger: LedgerHarness) -> list[tuple[int, str]]:
    return [(one.record.offset, one.error.reason) for one in ledger.dead_letters.entries]


def _day(reading: Reading, **replaced: object) -> ConsumerRecord:
    body = reading.days[0].model_dump_json()
    for field, value in replaced.items():
        before = reading.days[0].model_dump(mode="json")[field]
        body = body.replace(f'"{field}":"{before}"', f'"{field}":"{value}"', 1)
    return record_of(reading.days[0], value=body.encode())


def _window(reading: Reading, first: date, last: date) -> ConsumerRecord:
    return record_of(reading.window.model_copy(update={"first_day": first, "last_day": last}))


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (lambda one: record_of(one.days[0], value=b"{nonsense"), "body_malformed"),
        (lambda one: _day(one, usd="2"), "body_malformed"),
        (lambda one: _day(one, observed_at=BEFORE_TIME), "body_malformed"),
        (lambda one: record_of(one.days[0], timestamp=2**62), "timestamp_malformed"),
        (lambda one: _window(one, date.min, date.max), "body_malformed"),
        (lambda one: _window(one, FIRST, FIRST - timedelta(days=1)), "body_malformed"),
        (lambda one: _window(one, FIRST, FIRST + timedelta(days=400)), "body_malformed"),
    ],
    ids=[
        "no JSON",
        "wrong sum",
        "instant",
        "date of the record",
        "ten thousand years",
        "ends before it begins",
        "401 days",
    ],
)
async def test_a_malformed_message_is_dead_lettered_alone(
    ledger: LedgerHarness, team: UUID, poison: Callable[[Reading], ConsumerRecord], reason: str
) -> None:
    reading = reading_of(team, {FIRST: {"a": "1"}})

    first, second = poison(reading), poison(reading)

    await ledger.receive(first, *reading.days, second, reading.window)

    assert _reasons(ledger) == [(first.offset, reason), (second.offset, reason)]
    assert [one.reconciled for one in ledger.outcomes] == [True]


async def test_a_window_is_dead_lettered_when_its_outcome_is_too_large_to_publish(
    ledger: LedgerHarness, team: UUID
) -> None:
    reading, other = reading_of(team, {FIRST: {"a": "1"}}), reading_of(uuid4(), {FIRST: {"a": "1"}})
    large = reading.window.model_copy(update={"request_ids": tuple(f"{number:0200}" for number in range(4_600))})

    await ledger.receive(record_of(large, offset=3), *other.messages)

    assert _reasons(ledger) == [(3, "handler_failed")]
    assert {one.reading_id for one in ledger.outcomes} == {other.reading_id}


async def test_wrong_grants_dead_letter_nothing(ledger: LedgerHarness, team: UUID) -> None:
    reading = reading_of(team, {FIRST: {"a": "1"}})
    await ledger.sql("REVOKE INSERT ON days FROM ledger")
    try:
        with pytest.raises(ProgrammingError):
            await ledger.receive(*reading.messages)
    finally:
        await ledger.sql("GRANT INSERT ON days TO ledger")

    assert _reasons(ledger) == []


async def test_a_crash_before_the_commit_leaves_nothing(
    ledger: LedgerHarness, team: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unavailable(*_: object) -> None:
        raise ConnectionError

    reading = reading_of(team, {FIRST: {"a": "1"}})
    monkeypatch.setattr("ledger.store.outcomes.save", unavailable)
    with pytest.raises(ConnectionError):
        await ledger.receive(*reading.messages)

    assert (await ledger.figures(), ledger.publisher.published) == ([], [])
