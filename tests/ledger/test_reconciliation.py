"""A window is compared with the stored days, and the outcome is published."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from tests.ledger.support.ledger import FIRST, OTHER_ACCOUNT, LedgerHarness, later, reading_of
from tests.support.messages import ACCOUNT

DAY_2, DAY_3 = FIRST + timedelta(days=1), FIRST + timedelta(days=2)


async def test_a_whole_reading_is_reconciled(ledger: LedgerHarness, team: UUID) -> None:
    await ledger.receive(*reading_of(team, {FIRST: {"grok-4": "1.5"}, DAY_2: {"grok-4": "2.25"}}).messages)

    (completed,) = ledger.outcomes
    assert (completed.reconciled, completed.usd, completed.days_changed) == (True, Decimal("3.75"), 0)
    assert completed.request_ids == ("request-1",)
    assert ledger.publisher.published[0].key == str(team)


async def test_a_window_with_a_missing_day_is_not_reconciled_until_it_comes(ledger: LedgerHarness, team: UUID) -> None:
    reading = reading_of(team, {FIRST: {"a": "1"}, DAY_2: {"a": "2"}})
    await ledger.receive(reading.days[0], reading.window)
    await ledger.receive(reading.days[1], reading.window)

    first, second = ledger.publisher.published
    assert (first.message.reconciled, first.message.unreconciled_days) == (False, (DAY_2,))
    assert second.message.reconciled is True
    assert first.event_id != second.event_id


async def test_a_newer_reading_of_a_day_counts_for_an_older_window(ledger: LedgerHarness, team: UUID) -> None:
    await ledger.record(team, {FIRST: {"a": "2"}}, observed_at=later(1))

    await ledger.receive(reading_of(team, {FIRST: {"a": "1"}}).window)

    assert ledger.outcomes[0].reconciled is True


async def test_a_day_that_xai_cut_off_is_not_reconciled(ledger: LedgerHarness, team: UUID) -> None:
    await ledger.receive(*reading_of(team, {FIRST: {"a": "1"}, DAY_3: {"a": "3"}}, cut=[DAY_2]).messages)

    (completed,) = ledger.outcomes
    assert (completed.unreconciled_days, completed.usd) == ((DAY_2,), 4)


async def test_a_window_with_another_sum_is_not_reconciled(ledger: LedgerHarness, team: UUID) -> None:
    reading = await ledger.record(team, {FIRST: {"a": "1"}})

    await ledger.receive(reading.window.model_copy(update={"totals": {FIRST: Decimal("1.01")}}))

    assert ledger.outcomes[0].unreconciled_days == (FIRST,)


async def test_another_accounts_days_prove_no_window(ledger: LedgerHarness, team: UUID) -> None:
    reading = reading_of(team, {FIRST: {"a": "1"}})
    await ledger.receive(*reading.messages)

    await ledger.receive(reading.window.model_copy(update={"account_id": OTHER_ACCOUNT}))

    assert [(one.account_id, one.reconciled) for one in ledger.outcomes] == [(ACCOUNT, True), (OTHER_ACCOUNT, False)]


async def test_of_a_questioned_day_nothing_is_claimed_and_its_former_costs_remain(
    ledger: LedgerHarness, team: UUID
) -> None:
    before = await ledger.record(team, {FIRST: {"a": "1"}, DAY_2: {"a": "2"}})
    after = reading_of(team, {DAY_2: {"a": "3"}}, observed_at=later(1))
    window = after.window.model_copy(update={"first_day": FIRST, "questioned_days": (FIRST,)})

    await ledger.receive(*after.days, window)

    (completed,) = ledger.outcomes
    assert (completed.reconciled, completed.unreconciled_days, completed.questioned_days) == (True, (), (FIRST,))
    assert (completed.usd, completed.days_changed, completed.changed_days) == (3, 1, (DAY_2,))
    assert [(one.usd, one.reading_id) for one in await ledger.figures()] == [
        (1, before.reading_id),
        (3, after.reading_id),
    ]


async def test_a_reading_that_changes_nothing_names_no_days(ledger: LedgerHarness, team: UUID) -> None:
    await ledger.receive(*reading_of(team, {FIRST: {"a": "1"}}).messages)

    assert "changed_days" not in ledger.outcomes[0].model_dump_json()


async def test_an_outcome_that_an_earlier_version_stored_is_not_reworded(ledger: LedgerHarness, team: UUID) -> None:
    await ledger.record(team, {FIRST: {"a": "1"}})
    reading = reading_of(team, {FIRST: {"a": "2"}, DAY_2: {"a": "2"}}, observed_at=later(1))
    await ledger.receive(reading.days[0], reading.window)
    await ledger.sql("UPDATE outcomes SET outcome = (outcome::jsonb - 'changed_days')::text")

    await ledger.receive(reading.window)

    first, second = ledger.publisher.published
    assert (first.event_id, first.message.changed_days) == (second.event_id, (FIRST,))
    assert second.message.changed_days is None


async def test_windows_of_one_batch_are_each_compared_with_their_own_days(ledger: LedgerHarness, team: UUID) -> None:
    whole, other, cut = (
        reading_of(team, {FIRST: {"a": "1"}, DAY_2: {"a": "2"}}),
        reading_of(uuid4(), {FIRST: {"a": "3"}}),
        reading_of(uuid4(), {FIRST: {"a": "4"}, DAY_2: {"a": "5"}}),
    )
    await ledger.receive(whole.window, cut.window, *whole.days, *other.days, other.window, cut.days[1])

    assert [(one.reading_id, one.unreconciled_days) for one in ledger.outcomes] == [
        (whole.reading_id, ()),
        (cut.reading_id, (FIRST,)),
        (other.reading_id, ()),
    ]


async def test_a_window_that_comes_twice_in_a_batch_has_one_outcome(ledger: LedgerHarness, team: UUID) -> None:
    reading = reading_of(team, {FIRST: {"a": "1"}, DAY_2: {"a": "2"}})

    for days in ((), reading.days, ()):
        await ledger.receive(reading.window, *days, reading.window)

    events = [
        (one.event_id.removeprefix(str(reading.reading_id)), one.message.reconciled)
        for one in ledger.publisher.published
    ]
    assert events == [(":completed", False)] * 2 + [(":completed:2", True)] * 4
    assert await ledger.sql("SELECT judgements, reconciled FROM outcomes") == [(2, True)]


async def test_a_window_of_other_days_under_the_same_reading_is_a_further_result(
    ledger: LedgerHarness, team: UUID
) -> None:
    reading = reading_of(team, {FIRST: {"a": "1"}, DAY_2: {"a": "2"}})
    shorter = reading.window.model_copy(update={"last_day": FIRST, "totals": {FIRST: Decimal(1)}})

    await ledger.receive(reading.window, *reading.days[:1], shorter)

    assert [(one.last_day, one.reconciled) for one in ledger.outcomes] == [(DAY_2, False), (FIRST, True)]
    assert await ledger.sql("SELECT last_day, judgements FROM outcomes") == [(FIRST, 2)]
