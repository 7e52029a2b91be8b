"""What happens to a record that was not handled: wait, retry, or dead letter; for single records and batches alike."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import structlog
from contract.cloudevents import REASONS, Event, MalformedError, Record, decode, lenient_headers
from contract.topics import Topic
from contract.tracing import trace_of, tracing

from common.errors import TransientError, is_own_cancellation, is_transient, name_of, tables_unfit
from common.kafka.dead_letter_limit import CAPACITY, DeadLetterLimit
from common.kafka.dead_letters import DeadLetters
from common.kafka.delivery import MAX_BATCH, DecodedRecord, Delivery, Unfinished, portions, ref_of
from common.kafka.placement import Placement
from common.metrics import DEAD_LETTERED, HANDLED, declare
from common.watchdog import Watchdog

log = structlog.get_logger()

HANDLER_DEADLINE = 20.0
"""Seconds; well below `max_poll_interval_ms` (5 minutes), after which the broker removes a silent consumer."""
DECODED_AT_ONCE = 16
"""Records, a millisecond: then whatever else waits in this process has its turn."""
MAX_TRIES = 5
"""Attempts at a record that fails for an unknown reason, before it is dead-lettered; the first is logged in full."""
STOPPED_PAUSES = (6.0,)
BUG_PAUSES = (0.1, 0.3, 0.6, 1.2)
"""Together below the 5 s within which poison is dead-lettered: what is behind it waits as long."""
TRANSIENT_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)

WAITING, FAILED = "waits", "failed"
OUTCOMES = ("handled", "dead_lettered", WAITING, FAILED)
UNKNOWN = "handler_failed"
"""Reason of a dead letter whose record failed for an unknown reason."""

BatchHandler = Callable[[Sequence[Event[Any]]], Awaitable[None]]
"""Handles all events, or raises; may get the same events again. MalformedError: one of them must not be retried."""
OnGiveUp = Callable[[Record, MalformedError], Awaitable[bool]]
"""Called before a record is dead-lettered; may be called more than once. Returns whether its sender gets an answer."""


class RetryLaterError(TransientError):
    """The records have to be delivered again, after the pause that was made already."""


class FailurePolicy:
    """Malformed: dead letter, and on. Transient: wait, and again. Unknown: retry with growing pauses, then dead letter.

    A batch that fails is halved until the record to blame is alone.
    """

    def __init__(
        self,
        topic: Topic,
        dead_letters: DeadLetters,
        watchdog: Watchdog,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_give_up: OnGiveUp | None = None,
        placement: Placement | None = None,
        max_records: int = MAX_BATCH,
    ) -> None:
        """`pause` waits the given seconds; `placement` looks at every record that was handled.

        `max_records`: of a batch; it has at most MAX_VALUES_BYTES as well.
        """
        self._topic = topic
        self._dead_letters = dead_letters
        self._watchdog = watchdog
        self._pause = pause
        self._on_give_up = on_give_up
        self._placement = placement
        self._max_records = max_records
        self._limit = DeadLetterLimit(topic.name)
        declare(HANDLED, [topic.name], OUTCOMES)
        declare(DEAD_LETTERED, [topic.name], [*REASONS, UNKNOWN])
        self.unfinished = Unfinished()
        self.forget = self.unfinished.forget

    async def consume(self, records: Sequence[Record], handle: BatchHandler) -> int:
        """Handle or dead-letter every record; answers how many were dead-lettered. Raises RetryLaterError."""
        self._log_delivered(records)
        self.unfinished.begin(records)
        delivery = Delivery()
        try:
            await self._consume(records, handle, delivery)
        except BaseException:
            self.unfinished.keep(records, delivery.handled)
            raise
        return self.unfinished.end(records)

    async def _consume(self, records: Sequence[Record], handle: BatchHandler, delivery: Delivery) -> None:
        batches = portions(records, self._max_records)
        entries = await self._decode(next(batches, []), delivery)
        for batch in batches:
            decoding = asyncio.create_task(self._decode(batch, delivery))
            try:  # what the database does meanwhile needs no time of this process
                await self._handle(entries, handle, delivery)
            finally:
                entries = await decoding
        await self._handle(entries, handle, delivery)
        for record, error in delivery.rejected:  # last, so that a batch that comes again leaves no second copy
            await self._dead_letter(record, error)
        if delivery.tries:
            await self._retry_later(FAILED, delivery.tries, BUG_PAUSES)

    def _log_delivered(self, records: Sequence[Record]) -> None:
        """Own retries are not logged: who looks for records that the broker delivered twice compares these lines."""
        if not log.is_enabled_for(logging.DEBUG):
            return
        new = [record for record in records if record not in self.unfinished]
        for partition, some in groupby(new, key=lambda record: record.partition):
            offsets = [record.offset for record in some]
            log.debug("message.delivered", topic=self._topic.name, partition=partition, offsets=offsets)

    async def _decode(self, records: Sequence[Record], delivery: Delivery) -> list[DecodedRecord]:
        entries = []
        for number, record in enumerate(records, start=1):
            try:
                entries.append(DecodedRecord(record, decode(record, self._topic)))
            except Exception as error:  # noqa: BLE001 - whatever it is, this record alone is to blame
                self._retry_or_give_up(record, error, delivery)
            if number % DECODED_AT_ONCE == 0:
                await asyncio.sleep(0)
        return entries

    async def _handle(self, entries: Sequence[DecodedRecord], handle: BatchHandler, delivery: Delivery) -> None:
        for part in self._parts(entries):
            await self._apply_policy(part, handle, delivery)

    def _parts(self, entries: Sequence[DecodedRecord]) -> Iterator[list[DecodedRecord]]:
        """Records that failed before are handled alone, in their place."""
        for failed, some in groupby(entries, key=self.unfinished.has_failed):
            part = list(some)
            yield from ([entry] for entry in part) if failed else [part]

    async def _apply_policy(self, entries: Sequence[DecodedRecord], handle: BatchHandler, delivery: Delivery) -> None:
        if delivery.failing >= CAPACITY:  # the records are not to blame: the rest comes with the next delivery
            delivery.tries = MAX_TRIES
            return
        error = await _attempt(handle, [entry.event for entry in entries])
        if error is None:
            self._record_handled(entries, delivery)
        elif _must_wait(error):
            await self._wait("message.waits", entries[0].record, error)
        elif len(entries) == 1:
            self._retry_or_give_up(entries[0].record, error, delivery)
        else:
            log.warning("batch.halved", topic=self._topic.name, records=len(entries), error=name_of(error))
            middle = len(entries) // 2
            await self._apply_policy(entries[:middle], handle, delivery)
            await self._apply_policy(entries[middle:], handle, delivery)

    def _record_handled(self, entries: Sequence[DecodedRecord], delivery: Delivery) -> None:
        """A batch that comes again counts once."""
        new = self.unfinished.uncounted(entries)
        delivery.handled += [entry.record for entry in new]
        if self._placement:
            for entry in new:
                self._placement.check(*entry)
        self._limit.record_handled(len(new))
        self._count("handled", len(new))

    def _retry_or_give_up(self, record: Record, error: BaseException, delivery: Delivery) -> None:
        pending = self.unfinished.state(record)
        if isinstance(error, MalformedError):
            delivery.rejected.append((record, error))
        elif not pending.dead_lettered:
            pending.failures += 1
            delivery.failing += 1
            full = error if pending.failures == 1 else None
            log.error("message.failed", **_where(record), tries=pending.failures, error=name_of(error), exc_info=full)
            if pending.failures < MAX_TRIES:
                delivery.tries = max(delivery.tries, pending.failures)
            else:
                delivery.rejected.append((record, MalformedError(UNKNOWN, name_of(error))))

    async def _dead_letter(self, record: Record, error: MalformedError) -> None:
        pending = self.unfinished.state(record)
        if pending.dead_lettered:
            return
        if error.reason == UNKNOWN and not self._limit.take():
            await self._retry_later(WAITING, 1, STOPPED_PAUSES)
        try:
            answered = await self._notify(record, error)
            attempts = pending.failures or 1
            await self._dead_letters.put(record, self._topic, error, attempts=attempts, answered=answered)
        except Exception as failure:  # noqa: BLE001 - until the dead letter is stored, the record is not done
            await self._wait("dead_letter.waits", record, failure)
        pending.dead_lettered = True
        self._count("dead_lettered")

    async def _notify(self, record: Record, error: MalformedError) -> bool:
        """Whether the sender gets an answer. A callback that fails for an unknown reason does not stop the flow."""
        try:
            with tracing(trace_of(lenient_headers(record))):
                return self._on_give_up is not None and await self._on_give_up(record, error)
        except Exception as failure:
            if _must_wait(failure):
                raise
            log.error("message.unanswered", **_where(record), error=name_of(failure))  # noqa: TRY400 - short
            return False

    async def _wait(self, event: str, record: Record, error: BaseException) -> None:
        pending = self.unfinished.state(record)
        pending.waits += 1
        log.warning(event, **_where(record), tries=pending.waits, error=name_of(error))
        await self._retry_later(WAITING, pending.waits, TRANSIENT_PAUSES, error)

    async def _retry_later(
        self, outcome: str, tries: int, pauses: Sequence[float], cause: BaseException | None = None
    ) -> None:
        self._count(outcome)
        await self._pause(pauses[min(tries, len(pauses)) - 1])
        raise RetryLaterError from cause

    def _count(self, outcome: str, records: int = 1) -> None:
        self._watchdog.beat(self._topic.name)
        HANDLED.labels(self._topic.name, outcome).inc(records)


async def _attempt(handle: BatchHandler, events: Sequence[Event[Any]]) -> BaseException | None:
    """What handling `events` failed with. Raises only the cancellation of this task itself."""
    try:
        async with asyncio.timeout(HANDLER_DEADLINE):
            await handle(events)
    except asyncio.CancelledError as error:
        if is_own_cancellation():
            raise
        return error
    except Exception as error:  # noqa: BLE001 - the policy decides on every failure
        return error
    return None


def _must_wait(error: BaseException) -> bool:
    if tables_unfit(error):
        log.error("tables.unfit", error=name_of(error))
        return True
    return is_transient(error)


def _where(record: Record) -> dict[str, Any]:
    return ref_of(record)._asdict()
