"""What each message does to the ledger. The table at the end names every message and its handler."""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby
from uuid import UUID

import structlog
from common.database import Database
from common.errors import TransientError, is_transient, name_of
from common.kafka.consumer import BatchHandler, Handler
from common.kafka.dead_letter_limit import Breaker
from common.kafka.dead_letters import DeadLetters
from common.kafka.publisher import Publisher, all_of
from common.metrics import LEDGER_DAYS, UNRECONCILED
from contract.cloudevents import Event, MalformedError, Record, decode
from contract.fields import History, Status
from contract.messages import INTEGRATION_STATES, CostRecorded, IntegrationState, Message, SyncCompleted, WindowRead
from contract.money import total
from contract.topics import COSTS, INTEGRATIONS, SYNC_OUTCOMES, Topic
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import store
from ledger.domain import Window, unreconciled
from ledger.store import Judged
from ledger.tally import Tally

log = structlog.get_logger()

BATCH = 500
Entry = tuple[Record, CostRecorded | WindowRead]


class Handlers:
    """Costs come in batches, each written in one transaction; outcomes are published after its commit."""

    def __init__(self, database: Database, publisher: Publisher, dead_letters: DeadLetters) -> None:
        self._database = database
        self._publisher = publisher
        self._dead_letters = dead_letters
        self._breaker = Breaker()

    async def costs(self, records: Sequence[Record]) -> None:
        """Write every day and judge every window of a batch; what cannot be read goes to dead letters alone."""
        await self.tallied(records)

    async def tallied(self, records: Sequence[Record]) -> Tally:
        """Handle a batch as `costs` does, and answer what became of each of its messages."""
        entries: list[Entry] = []
        unreadable: list[tuple[Record, MalformedError]] = []
        for record in records:
            try:
                entries.append((record, _read(record)))
            except MalformedError as error:
                unreadable.append((record, error))
        tally = Tally(dead_lettered=len(unreadable))
        await self._apply(entries, tally)
        for record, reason in unreadable:  # last, so that a batch that comes again leaves no second copy
            await self._dead_letters.put(record, COSTS, reason)
        return tally

    async def _apply(self, entries: Sequence[Entry], tally: Tally) -> None:
        """Write and announce `entries`; where that cannot be done, find the one that is to blame by halves."""
        if not entries:
            return
        try:
            outcomes, written = await self._write([message for _, message in entries])
            self._breaker.handled(COSTS.name, len(entries))
            await all_of(map(self._announce, outcomes))
            tally.add(written)
        except ProgrammingError as error:
            # Statements are fixed text: it is the tables or the grants that are not as they should be, and no message.
            log.error("tables.unfit", error=name_of(error))  # noqa: TRY400 - the driver's text can hold values
            raise TransientError(name_of(error)) from None
        except Exception as error:
            if is_transient(error):
                raise
            await self._blame(entries, error, tally)

    async def _blame(self, entries: Sequence[Entry], error: Exception, tally: Tally) -> None:
        if len(entries) > 1:
            middle = len(entries) // 2
            await self._apply(entries[:middle], tally)
            await self._apply(entries[middle:], tally)
            return
        (record, _), reason = entries[0], name_of(error)
        log.error("message.failed", topic=COSTS.name, partition=record.partition, offset=record.offset, exc_info=error)
        if not self._breaker.may_give_up(COSTS.name):
            raise TransientError(reason)
        await self._dead_letters.put(record, COSTS, MalformedError("handler_failed", reason))
        tally.dead_lettered += 1

    async def _write(self, messages: Sequence[CostRecorded | WindowRead]) -> tuple[list[Judged], Tally]:
        """All of it in one transaction; answers what is to be announced once it is committed, and what became of it."""
        written = 0
        async with self._database.transaction() as connection:
            await store.lock_out_erasing(connection)
            gone = await store.erased(connection, {message.integration_id for message in messages})
            kept = [message for message in messages if message.integration_id not in gone]
            days = [message for message in kept if isinstance(message, CostRecorded)]
            for one_each in rounds(days):
                written += await store.record(connection, one_each)
            outcomes = [await judge(connection, message) for message in kept if isinstance(message, WindowRead)]
        LEDGER_DAYS.labels("applied").inc(written)
        LEDGER_DAYS.labels("older").inc(len(days) - written)
        tally = Tally(written, len(days) - written, len(outcomes))
        tally.pass_over(message for message in messages if message.integration_id in gone)
        return outcomes, tally

    async def _announce(self, judged: Judged) -> None:
        outcome = judged.outcome
        key, at = str(outcome.integration_id), outcome.observed_at
        await self._publisher.publish(SYNC_OUTCOMES, outcome, key=key, event_id=judged.event_id, at=at)

    async def integration(self, event: Event[IntegrationState]) -> None:
        """Keep the newest state; erase where the account wants its history gone."""
        state = event.message
        async with self._database.transaction() as connection:
            await store.save_integration(connection, state)
            if state.status is Status.REMOVED and state.history is History.ERASE:
                await store.erase(connection, state.integration_id)


def _read(record: Record) -> CostRecorded | WindowRead:
    """What `record` says; raises MalformedError whatever is wrong with it, for its batch would come again for ever."""
    try:
        message = decode(record, COSTS).message
        assert isinstance(message, CostRecorded | WindowRead)  # noqa: S101 - the topic carries nothing else
    except MalformedError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, this record alone is to blame
        raise MalformedError("handler_failed", name_of(error)) from None
    return message


def rounds(days: Sequence[CostRecorded]) -> list[list[CostRecorded]]:
    """`days` in rounds that hold each day of an integration once, oldest reading first, so that no revision is lost."""
    ordered = sorted(days, key=lambda one: (*_whose(one), one.observed_at))
    made: list[list[CostRecorded]] = []
    for _, same in groupby(ordered, key=_whose):
        for number, day in enumerate(same):
            if number == len(made):
                made.append([])
            made[number].append(day)
    return made


def _whose(day: CostRecorded) -> tuple[UUID, date, str]:
    return day.integration_id, day.day, day.account_id


async def judge(connection: AsyncConnection, window: WindowRead) -> Judged:
    """Whether the ledger holds what the window claims; said before and proven, the same again, word for word."""
    before = await store.judged(connection, window)
    if before is not None and before.reconciled:
        return before
    claimed = Window(window.first_day, window.last_day, window.reading_id, window.observed_at, window.totals)
    missing = unreconciled(claimed, await store.standing(connection, window))
    outcome = _completed(window, missing, await store.days_changed(connection, window))
    if before is not None and before.outcome == outcome:
        return before
    number = before.judgements + 1 if before else 1
    judged = Judged(_event_id(window, number), number, outcome.reconciled, outcome)
    await store.save_judged(connection, judged)
    if missing:
        UNRECONCILED.inc()
        log.warning("window.unreconciled", integration_id=str(window.integration_id), days=len(missing))
    return judged


def _event_id(window: WindowRead, number: int) -> str:
    return f"{window.reading_id}:completed" if number == 1 else f"{window.reading_id}:completed:{number}"


def _completed(window: WindowRead, missing: Sequence[object], changed: int) -> SyncCompleted:
    return SyncCompleted.model_validate(
        window.model_dump(exclude={"totals"})
        | {
            "usd": total(window.totals.values()),
            "days_changed": changed,
            "reconciled": not missing,
            "unreconciled_days": missing,
        }
    )


def table(handlers: Handlers) -> Mapping[Topic, Mapping[type[Message], Handler]]:
    """Every message that the ledger consumes one by one, and what handles it."""
    return {INTEGRATIONS: dict.fromkeys(INTEGRATION_STATES, handlers.integration)}


def batches(handlers: Handlers) -> Mapping[Topic, BatchHandler]:
    """Every topic that the ledger consumes in batches: CostRecorded and WindowRead."""
    return {COSTS: handlers.costs}
