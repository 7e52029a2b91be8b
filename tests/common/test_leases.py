"""A worker claims up to its limit, renews what it works on, and releases it when it ends."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import pytest
import structlog
from common import leases
from common.leases import AFTER_FAILURE, LeasedWorker
from common.watchdog import Watchdog

from tests.support.fakes import RecordedPauses
from tests.support.waiting import others_have_run, until


class Queue:
    """Entries are numbers; an attempt at one ends when `finish` is called."""

    def __init__(self, *entries: int, failing_claims: int = 0, others_wait: bool = True) -> None:
        self.due = list(entries)
        self.attempted: list[int] = []
        self.renewed: list[int] = []
        self.released: list[int] = []
        self.owner_released = False
        self.looks = 0
        self._failing_claims = failing_claims
        self._others_wait = others_wait
        self._finished = asyncio.Event()

    async def claim(self, at_most: int) -> tuple[list[int], bool]:
        self.looks += 1
        if self._failing_claims:
            self._failing_claims -= 1
            raise ConnectionError
        claimed, self.due = self.due[:at_most], self.due[at_most:]
        return claimed, bool(self.due)

    async def attempt(self, claim: int) -> bool:
        self.attempted.append(claim)
        await self._finished.wait()
        if claim < 0:
            raise ValueError
        return self._others_wait

    async def renew(self, held: Collection[int]) -> None:
        self.renewed.extend(held)

    async def release(self, held: Collection[int]) -> None:
        self.released.extend(held)

    async def release_owner(self) -> None:
        self.owner_released = True

    def finish(self) -> None:
        self._finished.set()


class BrokenLeases(Queue):
    """Renewing and releasing fail."""

    async def renew(self, held: Collection[int]) -> None:
        await super().renew(held)
        raise TimeoutError

    async def release(self, _held: Collection[int]) -> None:
        raise TimeoutError

    async def release_owner(self) -> None:
        raise TimeoutError


@asynccontextmanager
async def working(
    queue: Queue, *, in_flight: int = 2, renew_every: float | None = None
) -> AsyncIterator[tuple[LeasedWorker[int], RecordedPauses]]:
    pauses = RecordedPauses()
    worker = LeasedWorker("worker", Watchdog(), queue, in_flight=in_flight, renew_every=renew_every, pause=pauses)
    task = asyncio.create_task(worker.run())
    try:
        yield worker, pauses
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_no_more_entries_are_claimed_than_may_be_in_flight() -> None:
    queue = Queue(1, 2, 3)
    async with working(queue):
        await until(lambda: queue.attempted == [1, 2])
        assert queue.due == [3]
        queue.finish()
        await until(lambda: queue.attempted == [1, 2, 3])


async def test_after_a_claim_of_all_that_is_due_the_worker_looks_again_when_it_is_woken() -> None:
    queue = Queue(1)
    async with working(queue):
        await until(lambda: queue.attempted == [1])
        await others_have_run()
        assert queue.looks == 1
        queue.finish()
        await until(lambda: queue.looks == 2)


async def test_after_an_entry_for_which_nobody_waited_the_worker_looks_a_while_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leases, "REST_SECONDS", 0.2)
    monkeypatch.setattr(leases, "POLL_EVERY", 3600.0)
    queue = Queue(1, others_wait=False)
    async with working(queue):
        await until(lambda: queue.attempted == [1])
        queue.finish()
        await others_have_run()
        assert queue.looks == 1
        await until(lambda: queue.looks == 2)


async def test_an_entry_that_took_the_last_place_is_followed_by_a_look_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leases, "REST_SECONDS", 3600.0)
    monkeypatch.setattr(leases, "POLL_EVERY", 3600.0)
    queue = Queue(1, 2, others_wait=False)
    queue.finish()
    async with working(queue, in_flight=1):
        await until(lambda: queue.attempted == [1, 2])


@pytest.mark.parametrize(("held", "rests"), [(1, 0), (2, 1)])
async def test_only_while_several_entries_are_worked_on_the_next_look_waits(
    monkeypatch: pytest.MonkeyPatch, held: int, rests: int
) -> None:
    monkeypatch.setattr(leases, "REST_SECONDS", 3600.0)  # more than this test may take
    queue = Queue(*range(held))
    async with working(queue, in_flight=3) as (worker, pauses):
        await until(lambda: len(queue.attempted) == held)
        queue.due.append(7)
        worker.wake()
        await until(lambda: 7 in queue.attempted)

    assert len(pauses) == rests
    assert all(0 < pause <= 3600 for pause in pauses)


async def test_what_is_worked_on_is_renewed_and_released_at_the_end() -> None:
    queue = Queue(1, 2)
    async with working(queue, renew_every=0.01):
        await until(lambda: {1, 2} <= set(queue.renewed))

    assert sorted(queue.released) == [1, 2]


async def test_a_process_gives_back_first_what_its_predecessor_held() -> None:
    queue = Queue(1)
    async with working(queue):
        await until(lambda: queue.attempted == [1])
        assert queue.owner_released


async def test_a_failed_claim_and_a_failed_attempt_are_logged_and_end_nothing() -> None:
    queue = Queue(-1, 2, failing_claims=1)
    queue.finish()
    with structlog.testing.capture_logs() as logs:
        async with working(queue) as (_, pauses):
            await until(lambda: queue.attempted == [-1, 2])

    assert pauses == [AFTER_FAILURE]
    assert [(one["event"], one["error"]) for one in logs] == [
        ("worker.claim_failed", "ConnectionError"),
        ("worker.attempt_failed", "ValueError"),
    ]
    assert queue.released == []


async def test_leases_that_cannot_be_renewed_or_released_end_nothing() -> None:
    queue = BrokenLeases(1)
    with structlog.testing.capture_logs() as logs:
        async with working(queue, renew_every=0.01):
            await until(lambda: queue.attempted == [1] and queue.renewed)

    assert [one["event"] for one in logs][:2] == ["worker.release_failed", "worker.renew_failed"]
    assert logs[-1]["event"] == "worker.release_failed"
    assert {one["error"] for one in logs} == {"TimeoutError"}
