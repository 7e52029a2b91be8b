"""Every message of a batch is counted by its result, and the counts add up."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from common.kafka.failure_policy import MAX_TRIES, RetryLaterError
from contract.topics import COSTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger.operations.replay import replay_handlers
from ledger.tally import Skipped, Tally

from tests.ledger.support.ledger import ERASED, FIRST, LedgerHarness, event_of, reading_of, record_of
from tests.support.fakes import Published

LAST = FIRST + timedelta(days=2)


async def test_each_message_is_counted_by_its_result_also_when_it_is_skipped(ledger: LedgerHarness) -> None:
    live, gone = uuid4(), uuid4()
    reading, erased = reading_of(live, {FIRST: {"a": "1"}}), reading_of(gone, {FIRST: {"a": "1"}, LAST: {"a": "2"}})
    await ledger.add(gone, **ERASED)
    batch = [event_of(one) for one in (*reading.days, *reading.messages, *erased.messages)]

    tally = await ledger.handlers.handle_batch(batch)

    assert tally.counts == {"applied": 1, "older": 1, "judged": 1, "erased": 3, "dead_lettered": 0}
    assert tally.erased == {gone: Skipped(FIRST, LAST, cost_recorded=2, window_read=1)}


async def test_a_message_that_fails_with_its_batch_is_counted_once(ledger: LedgerHarness) -> None:
    refused, sound = uuid4(), uuid4()

    def refuses(record: Published) -> bool:
        if record.key == str(refused):
            raise ValueError("obviously refused")
        return False

    ledger.publisher.refuses = refuses
    readings = [reading_of(one, {FIRST: {"a": "1"}}) for one in (refused, sound)]
    poison = record_of(readings[0].window, value=b"{")
    batch = (*(record_of(message) for one in readings for message in one.messages), poison)
    costs = replay_handlers(ledger.database, ledger.publisher, ledger.dead_letters).topics[COSTS]

    for _ in range(MAX_TRIES - 1):
        with pytest.raises(RetryLaterError):
            await costs(batch)
    counts = await costs(batch)

    assert (counts["applied"] + counts["older"], counts["judged"], counts["dead_lettered"]) == (2, 1, 2)


BATCHES = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(BATCHES, min_size=1, max_size=3))
async def test_the_counts_of_many_batches_add_up(ledger: LedgerHarness, batches: list[list[tuple[int, bool]]]) -> None:
    await ledger.clear()
    teams = [UUID(int=number) for number in range(4)]
    await ledger.add(teams[0], **ERASED)
    whole = Tally()
    for batch in batches:
        readings = [reading_of(teams[number], {FIRST: {"a": "1"}}) for number, _ in batch]
        events = [
            event_of(one.window if window else one.days[0]) for one, (_, window) in zip(readings, batch, strict=True)
        ]
        whole.add(await ledger.handlers.handle_batch(events))

    assert sum(whole.counts.values()) == sum(map(len, batches))
