"""What becomes of a record that was not handled: dead letter, wait, or try again."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import structlog
from contract.cloudevents import MalformedError, Record, traceparent
from contract.topics import Topic
from faststream import BaseMiddleware
from faststream.exceptions import NackMessage

from common.errors import is_own_cancellation, is_transient, name_of
from common.kafka.dead_letter_limit import Breaker
from common.kafka.dead_letters import DeadLetters
from common.metrics import HANDLED
from common.watchdog import Watchdog

log = structlog.get_logger()

HANDLER_DEADLINE = 20.0
"""Seconds; well below the broker's patience with a silent consumer (`max_poll_interval_ms`, 5 minutes)."""
MAX_TRIES = 5
"""Tries of a message that fails for an unknown reason, before it is given up; the log tells the first in full."""
STOPPED_PAUSES = (6.0,)
BUG_PAUSES = (0.1, 0.3, 0.6, 1.2)
"""Together below the 5 s within which poison is put away: what stands behind it waits as long."""
TRANSIENT_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)

WAITS, FAILED = "waits", "failed"
UNKNOWN = "handler_failed"
"""Reason of a dead letter that was given up for an unknown bug."""
Place = tuple[str, int, int]
"""Topic, partition and offset of the first record in hand."""
OnGiveUp = Callable[[Record, MalformedError], Awaitable[None]]
"""What is done about a record that is given up, before it goes to dead letters; may come more than once."""


@dataclass(frozen=True, slots=True)
class Sorting:
    """What a service's subscribers share to sort their failures."""

    topics: Mapping[str, Topic]
    dead_letters: DeadLetters
    watchdog: Watchdog
    pause: Callable[[float], Awaitable[None]]
    unread: Mapping[str, OnGiveUp]
    tries: dict[Place, Counter[str]] = field(default_factory=dict)
    breaker: Breaker = field(default_factory=Breaker)


class SortFailures(BaseMiddleware[Any, Any]):
    """Malformed: to dead letters, and on. Transient: wait, and again. Unknown: again with growing pauses, then given up."""

    def __init__(self, msg: Any, /, *, context: Any, sorting: Sorting) -> None:
        super().__init__(msg, context=context)
        self._with = sorting

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> None:
        """Handle, bounded in time; what is raised from here is only the wish to get the record again."""
        records = records_of_message(msg.raw_message)
        self._note_delivery(records)
        failure = await _failure(call_next, msg)
        if failure is None or len(records) == 1 or not self._is_to_be_split(failure, records):
            await self._judge(failure, records)
            return
        for record in records:
            failure = await _failure(call_next, _only(msg, record))
            await self._judge(failure and _final(failure), (record,))

    def _note_delivery(self, records: tuple[Record, ...]) -> None:
        """Whoever wants to know whether the broker gave a record twice compares these; own retries are none of them."""
        if not log.is_enabled_for(logging.DEBUG) or _place(records) in self._with.tries:
            return
        for partition, some in groupby(records, key=lambda record: record.partition):
            offsets = [record.offset for record in some]
            log.debug("message.delivered", topic=records[0].topic, partition=partition, offsets=offsets)

    def _is_to_be_split(self, failure: BaseException, records: tuple[Record, ...]) -> bool:
        """Which record of a batch is to blame shows when each comes alone."""
        if isinstance(failure, MalformedError):
            return True
        return not is_transient(failure) and self._tried(_place(records), FAILED) >= MAX_TRIES - 1

    async def _judge(self, failure: BaseException | None, records: tuple[Record, ...]) -> None:
        place = _place(records)
        if failure is None:
            self._forget(records)
            self._ended(place[0], "handled")
            self._with.breaker.handled(place[0], len(records))
        elif isinstance(failure, MalformedError):
            await self._give_up(records, failure, place)
        else:
            await self._sort(failure, records, place)

    async def _sort(self, error: BaseException, records: tuple[Record, ...], place: Place) -> None:
        where = {"topic": place[0], "partition": place[1], "offset": place[2]}
        if is_transient(error):
            tries = self._count(place, WAITS)
            log.warning("message.waits", **where, tries=tries, error=name_of(error))
            await self._again(place, WAITS, TRANSIENT_PAUSES)
        tries = self._count(place, FAILED)
        log.error("message.failed", **where, tries=tries, error=name_of(error), exc_info=error if tries == 1 else None)
        if tries < MAX_TRIES or len(records) > 1:
            await self._again(place, FAILED, BUG_PAUSES)
        await self._give_up(records, MalformedError(UNKNOWN, name_of(error)), place)

    async def _again(self, place: Place, outcome: str, pauses: tuple[float, ...]) -> None:
        self._ended(place[0], outcome)
        await self._with.pause(pauses[min(self._tried(place, outcome), len(pauses)) - 1])
        raise NackMessage

    async def _give_up(self, records: tuple[Record, ...], error: MalformedError, place: Place) -> None:
        attempts = self._tried(place, FAILED) or 1
        if error.reason == UNKNOWN and not self._with.breaker.may_give_up(place[0]):
            self._count(place, WAITS)
            await self._again(place, WAITS, STOPPED_PAUSES)
        try:
            for record in records:
                await self._tell_unread(record, error)
                await self._with.dead_letters.put(record, self._with.topics[record.topic], error, attempts=attempts)
        except Exception as failure:  # noqa: BLE001 - until the dead letter stands, the record is not done
            tries = self._count(place, WAITS)
            log.warning("dead_letter.waits", topic=place[0], tries=tries, error=name_of(failure))
            await self._again(place, WAITS, TRANSIENT_PAUSES)
        self._forget(records)
        self._ended(place[0], "dead_lettered")

    async def _tell_unread(self, record: Record, error: MalformedError) -> None:
        """An answer that is not given for an unknown reason does not stop the flow."""
        try:
            if unread := self._with.unread.get(record.topic):
                await unread(record, error)
        except Exception as failure:
            if is_transient(failure):
                raise
            where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.error("message.unanswered", **where, error=name_of(failure))  # noqa: TRY400 - the log stays short

    def _count(self, place: Place, outcome: str) -> int:
        """Waits and failures are counted apart: a long outage does not use up a message's tries."""
        tries = self._with.tries.setdefault(place, Counter())
        tries[outcome] += 1
        return tries[outcome]

    def _tried(self, place: Place, outcome: str) -> int:
        return self._with.tries[place][outcome] if place in self._with.tries else 0

    def _forget(self, records: tuple[Record, ...]) -> None:
        if self._with.tries:  # a batch need not begin with the same record when it comes again
            for record in records:
                self._with.tries.pop(_place((record,)), None)

    def _ended(self, topic: str, outcome: str) -> None:
        self._with.watchdog.beat(topic)
        HANDLED.labels(topic, outcome).inc()


async def _failure(call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> BaseException | None:
    """What handling `msg` failed with. Raises only the cancellation of this task itself."""
    traceparent.set(None)
    try:
        async with asyncio.timeout(HANDLER_DEADLINE):
            await call_next(msg)
    except asyncio.CancelledError as error:
        if is_own_cancellation():
            raise
        return error
    except Exception as error:  # noqa: BLE001 - every failure is sorted
        return error
    return None


def _final(failure: BaseException) -> BaseException:
    """What a record that came alone failed with: it has been tried, and told in full, with its batch before."""
    if isinstance(failure, MalformedError) or is_transient(failure):
        return failure
    return MalformedError(UNKNOWN, name_of(failure))


def _only(message: Any, record: Record) -> Any:
    """The batch as if it held `record` alone."""
    one = copy(message)
    one.raw_message = (record,)
    return one


def _place(records: tuple[Record, ...]) -> Place:
    return records[0].topic, records[0].partition, records[0].offset


def records_of_message(raw: Any) -> tuple[Record, ...]:
    return raw if isinstance(raw, tuple) else (raw,)
