"""What each message does to the ledger. The table at the end names every message and its handler."""

from collections.abc import Mapping, Sequence
from itertools import groupby

import structlog
from common.consuming import BatchHandler, Handler, name_of
from common.database import Database
from common.deadletters import DeadLetters
from common.events import Event, Record, decode
from common.failures import MalformedError, is_transient
from common.fields import History, Status
from common.kafka import Publisher
from common.messages import (
    INTEGRATION_STATES,
    CostRecorded,
    IntegrationState,
    Message,
    SyncCompleted,
    WindowRead,
)
from common.metrics import LEDGER_DAYS, UNRECONCILED
from common.money import total
from common.topics import COSTS, INTEGRATIONS, SYNC_OUTCOMES, Topic
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import store
from ledger.domain import Window, unreconciled
from ledger.store import Judged

log = structlog.get_logger()

BATCH = 500
Entry = tuple[Record, CostRecorded | WindowRead]


class Handlers:
    """Costs come in batches, each written in one transaction; outcomes are published after its commit."""

    def __init__(self, database: Database, publisher: Publisher, dead_letters: DeadLetters) -> None:
        self._database = database
        self._publisher = publisher
        self._dead_letters = dead_letters

    async def costs(self, records: Sequence[Record]) -> None:
        """Write every day and judge every window of a batch; what cannot be read goes to dead letters alone."""
        entries: list[Entry] = []
        for record in records:
            try:
                message = decode(record, COSTS).message
            except MalformedError as error:
                await self._dead_letters.put(record, COSTS, error)
            else:
                if isinstance(message, CostRecorded | WindowRead):
                    entries.append((record, message))
        await self._apply(entries)

    async def _apply(self, entries: Sequence[Entry]) -> None:
        """Write `entries`; where the database refuses them, find the one that is to blame by halves."""
        if not entries:
            return
        try:
            outcomes = await self._write([message for _, message in entries])
        except Exception as error:
            if is_transient(error):
                raise
            await self._blame(entries, error)
        else:
            for judged in outcomes:
                await self._announce(judged)

    async def _blame(self, entries: Sequence[Entry], error: Exception) -> None:
        if len(entries) > 1:
            middle = len(entries) // 2
            await self._apply(entries[:middle])
            await self._apply(entries[middle:])
            return
        log.error("message.failed", topic=COSTS.name, exc_info=error)
        await self._dead_letters.put(entries[0][0], COSTS, MalformedError("handler_failed", name_of(error)))

    async def _write(self, messages: Sequence[CostRecorded | WindowRead]) -> list[Judged]:
        async with self._database.transaction() as connection:
            await store.lock_out_erasing(connection)
            gone = await store.erased(connection, {message.integration_id for message in messages})
            kept = [message for message in messages if message.integration_id not in gone]
            for days in rounds([message for message in kept if isinstance(message, CostRecorded)]):
                written = await store.record(connection, days)
                LEDGER_DAYS.labels("applied").inc(written)
                LEDGER_DAYS.labels("older").inc(len(days) - written)
            windows = [message for message in kept if isinstance(message, WindowRead)]
            return [await judge(connection, window) for window in windows]

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


def rounds(days: Sequence[CostRecorded]) -> list[list[CostRecorded]]:
    """`days` in rounds that hold each (integration, day) once, oldest reading first, so that no revision is lost."""
    ordered = sorted(days, key=lambda one: (one.integration_id, one.day, one.observed_at))
    made: list[list[CostRecorded]] = []
    for _, same in groupby(ordered, key=lambda one: (one.integration_id, one.day)):
        for number, day in enumerate(same):
            if number == len(made):
                made.append([])
            made[number].append(day)
    return made


async def judge(connection: AsyncConnection, window: WindowRead) -> Judged:
    """Whether the ledger holds what the window claims; said before and proven, the same again, word for word."""
    before = await store.judged(connection, window.reading_id)
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
