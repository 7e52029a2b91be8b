"""What each message does to the connector. The tables at the end name every message and its handler."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime

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
from connector.domain import DUPLICATE, HEALS_BEFORE_ALARM, Health, Outcome, beyond_after, health_after, history_behind
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
                newest = await store.advance_observed_at(connection, completed.integration_id, completed.observed_at)
                first, refused = completed.first_day, completed.beyond_xai_until
                until = beyond_after(integration.beyond_xai_until, first, refused, newest=newest)
                known = await _note_beyond(connection, integration, until)
                changed |= await _apply_completed(connection, known, completed) or known != integration
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
            newest = await store.advance_observed_at(connection, failed.integration_id, failed.observed_at)
            changed |= await _apply_failed(connection, integration, failed, failed.observed_at, newest=newest)
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


async def _apply_failed(
    connection: AsyncConnection, integration: Integration, failed: SyncFailed, at: datetime, *, newest: bool
) -> bool:
    """Returns whether it changed. Days that xAI refuses although it reports newer ones are no failure of the key."""
    outcome = Outcome(failed.code, failed.final, failed.credential_version or 0)
    if failed.code is not Code.OUT_OF_RANGE:
        return newest and await _set_health(connection, integration, outcome, filled_in=False)
    until = max(filter(None, (integration.beyond_xai_until, failed.last_day)), default=None)
    known = await _note_beyond(connection, integration, until)
    if not newest and integration.status_code is not None:
        return known != integration
    filled_in = await syncs.filled_in(connection, known, readable_from(at.date()))
    changed = await _set_health(connection, known, replace(outcome, code=None), filled_in=filled_in)
    return changed or known != integration


async def _note_beyond(connection: AsyncConnection, integration: Integration, until: date | None) -> Integration:
    """The integration, with the day up to which xAI refuses to report; its history begins later where none of it was read."""
    history_from = integration.history_from
    if until and history_from >= integration.backfill_first:  # what an earlier backfill read is not known any more
        history_from = history_behind(
            history_from, until, await syncs.first_read(connection, integration.integration_id)
        )
    first = max(integration.backfill_first, history_from)
    known = replace(integration, beyond_xai_until=until, history_from=history_from, backfill_first=first)
    if known != integration:
        await store.set_beyond(connection, integration.integration_id, until, history_from)
    return known


async def _set_health(
    connection: AsyncConnection, integration: Integration, outcome: Outcome, *, filled_in: bool
) -> bool:
    before = Health(integration.status, integration.status_code)
    after = health_after(before, outcome, integration.credential_version, filled_in=filled_in)
    if integration.duplicate_of is not None:
        after = DUPLICATE
    if after != before:
        await store.set_health(connection, integration.integration_id, after.status, after.code)
    return after != before


HANDLERS: HandlerTable[Handlers] = {
    SYNC_OUTCOMES: {SyncCompleted: Handlers.sync_completed, SyncFailed: Handlers.sync_failed},
}
INTAKE: HandlerTable[Intake] = {COMMANDS_TOPIC: dict.fromkeys(COMMANDS, Intake.take)}
"""What a command does is in the table of `commands.handlers`."""
