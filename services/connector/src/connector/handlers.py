"""What each message does to the connector. The tables at the end name every message and its handler."""

from collections.abc import Callable

from common.database import Database
from common.kafka.consumer import HandlerTable
from contract.cloudevents import Event
from contract.fields import Status
from contract.messages import COMMANDS, SyncCompleted, SyncFailed
from contract.problems import Code
from contract.rules import readable_from
from contract.topics import COMMANDS_TOPIC, SYNC_OUTCOMES
from sqlalchemy.ext.asyncio import AsyncConnection

from connector import store, syncs
from connector.commands.intake import Intake
from connector.domain import HEALS_BEFORE_ALARM, Health, Outcome, health_after
from connector.events import event_log
from connector.store import Integration
from connector.syncs import Sync


class Handlers:
    """Outcomes are the history; the newest one sets the health. `wake` wakes the relay."""

    def __init__(self, database: Database, wake: Callable[[], None]) -> None:
        self._database = database
        self._wake = wake

    async def sync_completed(self, event: Event[SyncCompleted]) -> None:
        completed = event.message
        async with self._database.transaction() as connection:
            integration = await store.load(connection, completed.account_id, completed.integration_id, lock=True)
            sync, changed = await _record(connection, integration, event)
            if integration is not None:
                await store.advance_observed_at(connection, completed.integration_id, completed.observed_at)
                changed |= await _apply_completed(connection, integration, completed)
                if changed or (sync is not None and integration.status is not Status.ACTIVE):  # its progress is shown
                    await event_log.record_change(connection, completed.integration_id)
        self._wake()

    async def sync_failed(self, event: Event[SyncFailed]) -> None:
        """A failure without a call of xAI is history only."""
        failed = event.message
        if failed.account_id is None:
            return
        async with self._database.transaction() as connection:
            integration = await store.load(connection, failed.account_id, failed.integration_id, lock=True)
            _, changed = await _record(connection, integration, event)
            if integration is None or failed.observed_at is None:
                return
            if await store.advance_observed_at(connection, failed.integration_id, failed.observed_at):
                outcome = Outcome(failed.code, failed.final, failed.credential_version or 0)
                changed |= await _set_health(connection, integration, outcome, filled_in=False)
            if changed:
                await event_log.record_change(connection, failed.integration_id)
        self._wake()


async def _record(
    connection: AsyncConnection, integration: Integration | None, event: Event[SyncCompleted] | Event[SyncFailed]
) -> tuple[Sync | None, bool]:
    """Store the outcome, once; answers what was stored, and whether it changes the card's questioned days."""
    before = await syncs.questioned(connection, integration) if integration else []
    sync = await syncs.record(connection, event)
    if sync is not None and event.message.account_id is not None:
        await event_log.record_sync(connection, event.message.account_id, event.message.integration_id, sync)
    after = await syncs.questioned(connection, integration) if integration else []
    return sync, after != before


async def _apply_completed(connection: AsyncConnection, integration: Integration, completed: SyncCompleted) -> bool:
    """The newest outcome sets the health; an older one can still be the last missing piece of the backfill.

    Outcomes of the same instant are of one reading, which the ledger may reconcile again. Returns whether it changed.
    """
    newest = max(completed.observed_at, integration.observed_at or completed.observed_at)
    if completed.observed_at < newest and integration.status_code is not None:
        return False
    readable = readable_from(newest.date())
    stuck = await syncs.unhealed(connection, integration.integration_id, HEALS_BEFORE_ALARM, readable)
    code = Code.NOT_RECONCILED if stuck else None
    filled_in = await syncs.filled_in(connection, integration, readable)
    outcome = Outcome(code, final=stuck, credential_version=completed.credential_version)
    return await _set_health(connection, integration, outcome, filled_in=filled_in)


async def _set_health(
    connection: AsyncConnection, integration: Integration, outcome: Outcome, *, filled_in: bool
) -> bool:
    before = Health(integration.status, integration.status_code)
    after = health_after(before, outcome, integration.credential_version, filled_in=filled_in)
    if after != before:
        await store.set_health(connection, integration.integration_id, after.status, after.code)
    return after != before


HANDLERS: HandlerTable[Handlers] = {
    SYNC_OUTCOMES: {SyncCompleted: Handlers.sync_completed, SyncFailed: Handlers.sync_failed},
}
INTAKE: HandlerTable[Intake] = {COMMANDS_TOPIC: dict.fromkeys(COMMANDS, Intake.take)}
"""What a command does is in the table of `commands.handlers`."""
