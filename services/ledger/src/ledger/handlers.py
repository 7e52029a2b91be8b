"""The effect of each message on the ledger. The tables at the end name every message and its handler."""

from collections.abc import Sequence

from common.database import Database
from common.kafka.consumer import BatchTable, HandlerTable
from common.kafka.publisher import Outgoing, Publisher
from common.metrics import LEDGER_DAYS, declare
from contract.cloudevents import Event
from contract.fields import History, Status
from contract.messages import INTEGRATION_STATES, CostRecorded, IntegrationState, Message, WindowRead
from contract.topics import COSTS, INTEGRATIONS, SYNC_OUTCOMES
from contract.tracing import tracing

from ledger.reconciliation import reconcile
from ledger.store import days, erasure, integrations, outcomes
from ledger.store.outcomes import Reconciliation
from ledger.tally import Tally


class Handlers:
    """Costs are handled in batches, each in one transaction; outcomes are published after its commit."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        declare(LEDGER_DAYS, ["applied", "older"])
        self._database = database
        self._publisher = publisher

    async def costs(self, events: Sequence[Event[CostRecorded | WindowRead]]) -> None:
        """Write every day and reconcile every window of a batch."""
        await self.handle_batch(events)

    async def handle_batch(self, events: Sequence[Event[CostRecorded | WindowRead]]) -> Tally:
        """Handle a batch as `costs` does, and return what was done with each of its messages."""
        results, tally = await self._write([event.message for event in events])
        if results:
            traces = {one.message.reading_id: one.traceparent for one in events if isinstance(one.message, WindowRead)}
            await self._publisher.publish_all([self._event(one, traces[one.outcome.reading_id]) for one in results])
        return tally

    async def _write(self, messages: Sequence[CostRecorded | WindowRead]) -> tuple[list[Reconciliation], Tally]:
        """Write the days, then reconcile the windows; returns the outcomes to announce, and the counts.

        Statements are sent without waiting for the answers of those before: Postgres is waited for twice.
        """
        recorded = [message for message in messages if isinstance(message, CostRecorded)]
        windows = [message for message in messages if isinstance(message, WindowRead)]
        async with self._database.pipeline() as pipeline:
            await erasure.block_erasure(pipeline)
            erasing = await erasure.erased(pipeline, {message.integration_id for message in messages})
            writing = await days.record(pipeline, recorded)
            finding = await outcomes.find(pipeline, windows)
            erased = {row["integration_id"] async for row in erasing}
            found = zip(windows, [outcomes.found(row) async for row in finding], strict=True)
            results, new = reconcile([one for one in found if one[0].integration_id not in erased])
            if new:
                await outcomes.save(pipeline, new)
        written = sum(one.rowcount for one in writing)
        older = sum(day.integration_id not in erased for day in recorded) - written
        LEDGER_DAYS.labels("applied").inc(written)
        LEDGER_DAYS.labels("older").inc(older)
        tally = Tally(written, older, len(results))
        tally.skip(message for message in messages if message.integration_id in erased)
        return results, tally

    def _event(self, one: Reconciliation, trace: str | None) -> Outgoing:
        key, at = str(one.outcome.integration_id), one.outcome.observed_at
        with tracing(trace):
            return self._publisher.outgoing(
                SYNC_OUTCOMES, one.outcome, key=key, event_id=one.event_id, at=at, body=one.body
            )

    async def integration(self, event: Event[IntegrationState]) -> None:
        await self.integrations([event])

    async def integrations(self, events: Sequence[Event[Message]]) -> None:
        """Keep the newest states; erase the history of integrations that were removed with it."""
        async with self._database.pipeline() as pipeline:
            for state in (event.message for event in events):
                if not isinstance(state, IntegrationState):
                    continue
                await integrations.save(pipeline, state)
                if state.status is Status.REMOVED and state.history is History.ERASE:
                    await erasure.erase(pipeline, state.integration_id)


HANDLERS: HandlerTable[Handlers] = {INTEGRATIONS: dict.fromkeys(INTEGRATION_STATES, Handlers.integration)}
BATCH_HANDLERS: BatchTable[Handlers] = {COSTS: Handlers.costs, INTEGRATIONS: Handlers.integrations}
"""Of costs CostRecorded and WindowRead."""
