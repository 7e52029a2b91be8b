"""What each message does to the ledger. The table at the end names every message and its handler."""

from collections.abc import Mapping, Sequence

import structlog
from common.database import Database
from common.errors import TransientError, is_transient, name_of
from common.kafka.consumer import BatchHandler, Handler
from common.kafka.dead_letter_limit import Breaker
from common.kafka.dead_letters import DeadLetters
from common.kafka.publisher import Publisher, all_of
from common.metrics import LEDGER_DAYS
from contract.cloudevents import Event, MalformedError, Record, decode
from contract.fields import History, Status
from contract.messages import INTEGRATION_STATES, CostRecorded, IntegrationState, Message, WindowRead
from contract.topics import COSTS, INTEGRATIONS, SYNC_OUTCOMES, Topic
from sqlalchemy.exc import ProgrammingError

from ledger.reconciliation import reconcile
from ledger.store import days, erasure, integrations
from ledger.store.outcomes import Reconciliation
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
        """Write every day and reconcile every window of a batch; an unreadable record is dead-lettered alone."""
        await self.handle_batch(records)

    async def handle_batch(self, records: Sequence[Record]) -> Tally:
        """Handle a batch as `costs` does; returns what was done with each of its messages."""
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
            await self._bisect(entries, error, tally)

    async def _bisect(self, entries: Sequence[Entry], error: Exception, tally: Tally) -> None:
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

    async def _write(self, messages: Sequence[CostRecorded | WindowRead]) -> tuple[list[Reconciliation], Tally]:
        """All of it in one transaction; answers what is to be announced once it is committed, and what became of it."""
        async with self._database.transaction() as connection:
            await erasure.block_erasure(connection)
            erased = await erasure.erased(connection, {message.integration_id for message in messages})
            kept = [message for message in messages if message.integration_id not in erased]
            recorded = [message for message in kept if isinstance(message, CostRecorded)]
            written = await days.record(connection, recorded)
            outcomes = [await reconcile(connection, message) for message in kept if isinstance(message, WindowRead)]
        LEDGER_DAYS.labels("applied").inc(written)
        LEDGER_DAYS.labels("older").inc(len(recorded) - written)
        tally = Tally(written, len(recorded) - written, len(outcomes))
        tally.skip(message for message in messages if message.integration_id in erased)
        return outcomes, tally

    async def _announce(self, reconciliation: Reconciliation) -> None:
        outcome, event_id = reconciliation.outcome, reconciliation.event_id
        key, at = str(outcome.integration_id), outcome.observed_at
        await self._publisher.publish(SYNC_OUTCOMES, outcome, key=key, event_id=event_id, at=at)

    async def integration(self, event: Event[IntegrationState]) -> None:
        """Keep the newest state; erase where the account wants its history gone."""
        state = event.message
        async with self._database.transaction() as connection:
            await integrations.save(connection, state)
            if state.status is Status.REMOVED and state.history is History.ERASE:
                await erasure.erase(connection, state.integration_id)


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


def table(handlers: Handlers) -> Mapping[Topic, Mapping[type[Message], Handler]]:
    """Every message that the ledger consumes one by one, and what handles it."""
    return {INTEGRATIONS: dict.fromkeys(INTEGRATION_STATES, handlers.integration)}


def batches(handlers: Handlers) -> Mapping[Topic, BatchHandler]:
    """Every topic that the ledger consumes in batches: CostRecorded and WindowRead."""
    return {COSTS: handlers.costs}
