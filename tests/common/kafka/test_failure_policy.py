"""What the consumer does with a batch that fails: found by halves, tried alone, dead-lettered once."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from common.kafka.dead_letter_limit import CAPACITY
from common.kafka.failure_policy import (
    BUG_PAUSES,
    MAX_TRIES,
    STOPPED_PAUSES,
    TRANSIENT_PAUSES,
    FailurePolicy,
    RetryLaterError,
)
from common.watchdog import Watchdog
from contract.cloudevents import Event, MalformedError, decode
from contract.messages import SyncRequested
from contract.topics import SYNC_REQUESTS
from sqlalchemy.exc import ProgrammingError
from structlog.testing import capture_logs

from tests.support.fakes import RecordedPauses, RecordingDeadLetters
from tests.support.messages import record_of, sync_requested

Fails = Callable[[list[str]], Exception | None]


class Policy:
    """A policy without a broker: deliveries are made by hand."""

    def __init__(self, **options: Any) -> None:
        self._dead_letters, self.pauses = RecordingDeadLetters(), RecordedPauses()
        self.calls: list[list[str]] = []
        self._policy = FailurePolicy(SYNC_REQUESTS, self._dead_letters, Watchdog(), pause=self.pauses, **options)
        self.forget = self._policy.forget

    async def deliver(self, records: Sequence[Any], fails: Fails = lambda _: None) -> int:
        async def handle(events: Sequence[Event[SyncRequested]]) -> None:
            self.calls.append([event.message.request_id for event in events])
            if error := fails(self.calls[-1]):
                raise error

        return await self._policy.consume(records, handle)

    async def deliver_until_done(self, records: Sequence[Any], fails: Fails, most: int = MAX_TRIES) -> int:
        for _ in range(most - 1):
            with pytest.raises(RetryLaterError):
                await self.deliver(records, fails)
        return await self.deliver(records, fails)

    @property
    def dead_letters(self) -> list[tuple[int, str, int]]:
        return [(one.record.offset, one.error.reason, one.attempts) for one in self._dead_letters.entries]


@pytest.fixture
def policy() -> Policy:
    return Policy()


def _batch(count: int) -> list[Any]:
    return [record_of(SYNC_REQUESTS, sync_requested(request_id=str(number)), offset=number) for number in range(count)]


def _malformed(offset: int) -> Any:
    return record_of(SYNC_REQUESTS, sync_requested(), offset=offset, value=b"{")


def _fails_on(*poison: str) -> Fails:
    return lambda requests: ValueError("a bug") if set(poison) & set(requests) else None


async def test_the_record_to_blame_is_found_by_halves_and_then_retried_alone_in_its_place(policy: Policy) -> None:
    assert await policy.deliver_until_done(_batch(8), _fails_on("5")) == 1

    first = [["0", "1", "2", "3", "4", "5", "6", "7"], ["0", "1", "2", "3"], ["4", "5", "6", "7"], ["4", "5"]]
    assert policy.calls[:7] == [*first, ["4"], ["5"], ["6", "7"]]
    assert policy.calls[7:] == [["0", "1", "2", "3", "4"], ["5"], ["6", "7"]] * (MAX_TRIES - 1)
    assert policy.dead_letters == [(5, "handler_failed", MAX_TRIES)]
    assert tuple(policy.pauses) == BUG_PAUSES


async def test_several_poisons_of_a_batch_are_retried_at_the_same_time(policy: Policy) -> None:
    await policy.deliver_until_done(_batch(8), _fails_on("1", "5"))

    assert policy.dead_letters == [(1, "handler_failed", MAX_TRIES), (5, "handler_failed", MAX_TRIES)]


async def test_what_cannot_be_read_never_reaches_the_handler_and_is_dead_lettered_last(policy: Policy) -> None:
    batch = [_malformed(9), *_batch(2)]
    with pytest.raises(RetryLaterError):
        await policy.deliver(batch, lambda _: ConnectionError())
    assert policy.dead_letters == []

    assert await policy.deliver(batch) == 1

    assert policy.calls[-1] == ["0", "1"]
    assert policy.dead_letters == [(9, "body_malformed", 1)]


async def test_what_the_handler_calls_malformed_is_not_retried(policy: Policy) -> None:
    poison = MalformedError("requested_in_future", "no")

    assert await policy.deliver(_batch(4), lambda requests: poison if "2" in requests else None) == 1

    assert (policy.dead_letters, policy.pauses) == ([(2, "requested_in_future", 1)], [])


async def test_a_batch_that_comes_again_leaves_no_second_copy(policy: Policy) -> None:
    batch = [_malformed(9), *_batch(4)]

    await policy.deliver_until_done(batch, _fails_on("2"))

    assert policy.dead_letters == [(9, "body_malformed", 1), (2, "handler_failed", MAX_TRIES)]


async def test_tables_that_do_not_fit_are_waited_for_whoever_consumes(policy: Policy) -> None:
    def unfit(_: list[str]) -> Exception:
        return ProgrammingError("", {}, Exception())

    with capture_logs() as logged:
        for _ in range(2 * MAX_TRIES):
            with pytest.raises(RetryLaterError):
                await policy.deliver(_batch(1), unfit)

    assert "tables.unfit" in {line["event"] for line in logged}
    assert policy.dead_letters == []
    assert set(policy.pauses) == set(TRANSIENT_PAUSES)


async def test_a_version_that_fails_on_everything_stops_after_a_bounded_number_of_calls(policy: Policy) -> None:
    batch = _batch(500)
    for _ in range(MAX_TRIES + 3):
        with pytest.raises(RetryLaterError):
            await policy.deliver(batch, lambda _: ValueError("a new version"))
    assert len(policy.dead_letters) == CAPACITY
    assert len(policy.calls) < 400

    for _ in range(MAX_TRIES):
        with pytest.raises(RetryLaterError):
            await policy.deliver(batch, lambda _: ValueError("a new version"))
    assert len(policy.dead_letters) == CAPACITY
    assert policy.pauses[-1] == STOPPED_PAUSES[0]

    assert await policy.deliver(batch) == CAPACITY


async def test_after_a_rebalance_a_record_has_all_of_its_tries_again(policy: Policy) -> None:
    """Another process handled it meanwhile, or will; what is known of it would never be deleted otherwise."""
    kept, revoked = ([record_of(SYNC_REQUESTS, sync_requested(request_id=str(n)), partition=n)] for n in range(2))
    for record in (kept, revoked):
        for _ in range(MAX_TRIES - 1):
            with pytest.raises(RetryLaterError):
                await policy.deliver(record, _fails_on("0", "1"))

    policy.forget([(SYNC_REQUESTS.name, 1)])

    assert await policy.deliver(kept, lambda _: ValueError("a bug")) == 1
    assert await policy.deliver_until_done(revoked, lambda _: ValueError("a bug")) == 1
    assert [attempts for _, _, attempts in policy.dead_letters] == [MAX_TRIES] * 2


async def test_a_batch_ends_as_any_other_if_its_partition_is_revoked_while_it_is_handled(policy: Policy) -> None:
    def revoke(_requests: list[str]) -> None:
        policy.forget([(SYNC_REQUESTS.name, 0)])

    assert await policy.deliver([*_batch(2), _malformed(2)], revoke) == 1


async def test_a_delivery_is_handled_in_batches_in_their_order() -> None:
    policy = Policy(max_records=3)

    await policy.deliver(_batch(7))

    assert policy.calls == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


async def test_nothing_is_handled_after_a_batch_that_has_to_wait() -> None:
    policy, failures = Policy(max_records=2), iter([None, ConnectionError()])
    batch = [*_batch(5), _malformed(5)]

    with pytest.raises(RetryLaterError):
        await policy.deliver(batch, lambda _: next(failures, None))
    assert (policy.calls, policy.dead_letters) == ([["0", "1"], ["2", "3"]], [])

    assert await policy.deliver(batch) == 1
    assert policy.calls[2:] == [["0", "1"], ["2", "3"], ["4"]]
    assert policy.dead_letters == [(5, "body_malformed", 1)]


async def test_a_batch_is_decoded_while_the_one_before_it_is_handled(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, decoded = FailurePolicy(SYNC_REQUESTS, RecordingDeadLetters(), Watchdog(), max_records=2), asyncio.Event()

    def watched(record: Any, topic: Any) -> Event[Any]:
        if record.offset == 3:
            decoded.set()
        return decode(record, topic)

    async def handle(_events: Sequence[Event[Any]]) -> None:
        async with asyncio.timeout(5):
            await decoded.wait()

    monkeypatch.setattr("common.kafka.failure_policy.decode", watched)
    assert await policy.consume(_batch(4), handle) == 0
