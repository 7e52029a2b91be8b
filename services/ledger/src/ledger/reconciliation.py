"""Compares what a window claims with the stored days, and keeps the result."""

from collections.abc import Sequence
from datetime import date

import structlog
from common.metrics import UNRECONCILED
from contract.messages import SyncCompleted, WindowRead
from contract.money import total
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.domain import unreconciled
from ledger.store import days, outcomes
from ledger.store.outcomes import Reconciliation

log = structlog.get_logger()


async def reconcile(connection: AsyncConnection, window: WindowRead) -> Reconciliation:
    """Whether the ledger holds what the window claims; a stored result is final once reconciled, and never reworded."""
    before = await outcomes.load(connection, window)
    if before is not None and before.reconciled:
        return before
    missing = unreconciled(window, await days.stored_days(connection, window))
    outcome = _completed(window, missing, await days.changed_days(connection, window))
    if before is not None and _is_same(before.outcome, outcome):
        return before
    number = before.number + 1 if before else 1
    reconciliation = Reconciliation(_event_id(window, number), number, outcome.reconciled, outcome)
    await outcomes.save(connection, reconciliation)
    if missing:
        UNRECONCILED.inc()
        log.warning("window.unreconciled", integration_id=str(window.integration_id), days=len(missing))
    return reconciliation


def _event_id(window: WindowRead, number: int) -> str:
    return f"{window.reading_id}:completed" if number == 1 else f"{window.reading_id}:completed:{number}"


def _is_same(stored: SyncCompleted, outcome: SyncCompleted) -> bool:
    """What an earlier version stored names no changed days, only their number."""
    return stored == outcome.model_copy(update={"changed_days": stored.changed_days})


def _completed(window: WindowRead, missing: Sequence[date], changed: Sequence[date]) -> SyncCompleted:
    return SyncCompleted.model_validate(
        window.model_dump(exclude={"totals"})
        | {
            "usd": total(window.totals.values()),
            "days_changed": len(changed),
            "changed_days": changed or None,
            "reconciled": not missing,
            "unreconciled_days": missing,
        }
    )
