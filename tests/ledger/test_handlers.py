"""The effect of each message on the ledger; a message that cannot be written or announced is dead-lettered alone."""

from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from common.errors import TransientError
from contract.fields import Trigger
from contract.tracing import tracing
from psycopg.errors import InsufficientPrivilege

from tests.ledger.support.ledger import (
    ERASED,
    FIRST,
    NOON,
    REMOVED,
    LedgerHarness,
    event_of_state,
    later,
    reading_of,
    record_of,
)
from tests.support.messages import OTHER_PARENT, PARENT

DAY_2 = FIRST + timedelta(days=1)


async def test_a_readings_days_are_stored_digit_for_digit(ledger: LedgerHarness, team: UUID) -> None:
    await ledger.record(team, {FIRST: {"grok-4": "0.1234567890123456789", "grok-5": "1000000000000"}, DAY_2: {}})

    (first, second) = await ledger.figures()
    assert first.usd == Decimal("1000000000000.1234567890123456789")
    assert [cost["usd"] for cost in first.costs] == ["0.1234567890123456789", "1000000000000"]
    assert (second.usd, second.costs) == (0, [])


async def test_a_newer_reading_replaces_the_day_whole(ledger: LedgerHarness, team: UUID) -> None:
    await ledger.record(team, {FIRST: {"grok-4": "1", "vanishes": "2"}})
    await ledger.record(team, {FIRST: {"grok-4": "5"}}, observed_at=later(1))

    (day,) = await ledger.figures()
    assert [(cost["label"], cost["usd"]) for cost in day.costs] == [("grok-4", "5")]


@pytest.mark.parametrize("hours", [0, -1])
async def test_an_older_or_equal_reading_changes_nothing(ledger: LedgerHarness, team: UUID, hours: int) -> None:
    first = await ledger.record(team, {FIRST: {"grok-4": "1"}})
    await ledger.record(team, {FIRST: {"grok-4": "9"}}, observed_at=later(hours))

    (day,) = await ledger.figures()
    assert (day.usd, day.reading_id) == (1, first.reading_id)


async def test_a_restatement_leaves_a_revision(ledger: LedgerHarness, team: UUID) -> None:
    before, same, after = (
        reading_of(team, {FIRST: {"grok-4": usd}}, observed_at=later(hours))
        for hours, usd in enumerate(("1", "1", "2"))
    )
    for reading in (before, same, after):
        await ledger.receive(*reading.messages)

    (revision,) = await ledger.revisions()
    assert (revision.usd, revision.valid_from, revision.valid_to) == (1, NOON, later(2))
    assert (revision.reading_id, revision.replaced_by) == (same.reading_id, after.reading_id)
    assert [one.days_changed for one in ledger.outcomes] == [0, 0, 1]


async def test_a_day_that_comes_twice_in_a_batch_loses_no_revision(ledger: LedgerHarness, team: UUID) -> None:
    readings = [reading_of(team, {FIRST: {"grok-4": str(usd)}}, observed_at=later(usd)) for usd in (3, 1, 2)]

    await ledger.receive(*(day for one in readings for day in one.days))

    assert [one.usd for one in await ledger.figures()] == [3]
    assert [one.usd for one in await ledger.revisions()] == [1, 2]


async def test_what_the_database_refuses_is_found_by_halves(ledger: LedgerHarness, team: UUID) -> None:
    days = reading_of(team, {FIRST + timedelta(days=number): {"a": "1"} for number in range(9)}).days
    poison = record_of(days[4])
    await ledger.sql("ALTER TABLE days ADD CONSTRAINT poison CHECK (day <> '2026-11-05')")
    try:
        await ledger.receive(*days[:4], poison, *days[5:])
    finally:
        await ledger.sql("ALTER TABLE days DROP CONSTRAINT poison")

    assert [one.record for one in ledger.dead_letters.entries] == [poison]
    assert len(await ledger.figures()) == 8


async def test_a_crash_between_commit_and_publish_publishes_the_same_again(ledger: LedgerHarness, team: UUID) -> None:
    reading = reading_of(team, {FIRST: {"a": "1"}})
    ledger.publisher.available(available=False)
    with pytest.raises(TransientError):
        await ledger.receive(*reading.messages)
    ledger.publisher.available()

    await ledger.receive(*reading.messages)
    await ledger.receive(*reading.messages)

    first, second = ledger.publisher.published
    assert (first.event_id, first.message) == (second.event_id, second.message)


async def test_states_that_arrive_together_are_stored_together_and_the_newest_counts(
    ledger: LedgerHarness, team: UUID
) -> None:
    other = uuid4()
    await ledger.record(team, {FIRST: {"a": "1"}})
    states: list[tuple[UUID, dict[str, object]]] = [
        (team, {}),
        (other, {"version": 2, "label": "new"}),
        (team, ERASED),
        (other, {"label": "old"}),
        (team, {}),
    ]

    await ledger.handlers.integrations([event_of_state(one, **changes) for one, changes in states])

    rows = await ledger.sql("SELECT integration_id, version, label FROM integrations ORDER BY version, label")
    assert {(row.integration_id, row.version) for row in rows} == {(team, 2), (other, 2)}
    assert [row.label for row in rows if row.integration_id == other] == ["new"]
    assert await ledger.figures() == []


async def test_an_erased_integration_stays_erased(ledger: LedgerHarness, team: UUID) -> None:
    reading = reading_of(team, {FIRST: {"a": "1"}})
    await ledger.receive(*reading.messages)
    await ledger.add(team, **ERASED)
    ledger.publisher.published.clear()

    await ledger.receive(*reading.messages)

    assert (await ledger.figures(), await ledger.revisions(), ledger.outcomes) == ([], [], [])


async def test_a_removed_integrations_history_is_kept(ledger: LedgerHarness, team: UUID) -> None:
    await ledger.record(team, {FIRST: {"a": "1"}})

    await ledger.add(team, **REMOVED)

    assert len(await ledger.figures()) == 1


async def test_an_older_version_of_an_integration_changes_nothing(ledger: LedgerHarness, team: UUID) -> None:
    await ledger.add(team, version=3, label="New")
    await ledger.add(team, version=2, label="Old")

    assert await ledger.sql("SELECT label, version FROM integrations") == [("New", 3)]


async def test_a_cost_of_an_unknown_integration_is_kept(ledger: LedgerHarness, team: UUID) -> None:
    await ledger.record(team, {FIRST: {"a": "1"}})

    assert len(await ledger.figures()) == 1


def _reasons(ledger: LedgerHarness) -> list[tuple[int, str]]:
    return [(one.record.offset, one.error.reason) for one in ledger.dead_letters.entries]


@pytest.mark.parametrize(
    ("first", "last"),
    [(date.min, date.max), (FIRST, FIRST - timedelta(days=1)), (FIRST, FIRST + timedelta(days=400))],
    ids=["ten thousand years", "ends before it begins", "401 days"],
)
async def test_a_window_that_is_no_range_is_dead_lettered_alone(
    ledger: LedgerHarness, team: UUID, first: date, last: date
) -> None:
    reading = reading_of(team, {FIRST: {"a": "1"}})
    poison = reading.window.model_copy(update={"first_day": first, "last_day": last})

    await ledger.receive(*reading.days, record_of(poison, offset=3), reading.window)

    assert _reasons(ledger) == [(3, "body_malformed")]
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
        with pytest.raises(InsufficientPrivilege):
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


async def test_an_outcome_carries_the_trace_of_its_own_window_also_when_it_comes_again(
    ledger: LedgerHarness, team: UUID
) -> None:
    readings = [reading_of(team, {FIRST: {"grok-4": "1"}}, observed_at=later(hours)) for hours in range(3)]
    records = []
    for reading, trace in zip(readings, (PARENT, OTHER_PARENT, None), strict=True):
        with tracing(trace):
            records += [record_of(message) for message in reading.messages]

    for _ in range(2):
        await ledger.receive(*records)

    traces = [one.headers.get("traceparent") for one in ledger.publisher.published]
    assert traces == [PARENT, OTHER_PARENT, None] * 2


async def test_a_window_with_a_trigger_of_a_later_version_is_reconciled_and_passes_it_on(
    ledger: LedgerHarness, team: UUID
) -> None:
    reading = reading_of(team, {FIRST: {"grok-4": "1"}})
    window = reading.window.model_copy(update={"trigger": Trigger("made_later")})

    await ledger.receive(*reading.days, window)

    (outcome,) = ledger.outcomes
    assert (outcome.trigger, outcome.reconciled) == ("made_later", True)
