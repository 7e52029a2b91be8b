"""Compares what windows claim with the stored days, and keeps the results."""

from collections.abc import Sequence
from datetime import date

import structlog
from common.metrics import UNRECONCILED
from contract.messages import AnswerHash, SyncCompleted, WindowRead
from contract.money import total
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.domain import unreconciled
from ledger.store import days, outcomes
from ledger.store.days import WindowDays
from ledger.store.outcomes import Reconciliation, WindowKey, key_of

ANSWERS = TypeAdapter(tuple[AnswerHash, ...])

log = structlog.get_logger()


async def reconcile(connection: AsyncConnection, windows: Sequence[WindowRead]) -> list[Reconciliation]:
    """Whether the ledger holds what each window claims; a stored result is final once reconciled, and never reworded.

    A window that comes twice is compared with its own first result the second time.
    """
    known = await outcomes.load(connection, windows)
    unproven = [window for window in windows if not _is_reconciled(known.get(key_of(window)))]
    held = dict(zip(map(id, unproven), await days.window_days(connection, unproven), strict=True))
    results: list[Reconciliation] = []
    new: dict[WindowKey, Reconciliation] = {}
    for window in windows:
        key = key_of(window)
        before = known.get(key)
        if before is None or not before.reconciled:
            known[key] = result = _compare(window, held[id(window)], before)
            if result is not before:
                new[key] = result
        results.append(known[key])
    await outcomes.save(connection, list(new.values()))
    return results


def _is_reconciled(before: Reconciliation | None) -> bool:
    return before is not None and before.reconciled


def _compare(window: WindowRead, held: WindowDays, before: Reconciliation | None) -> Reconciliation:
    """The result to announce: `before` where that is the same."""
    missing = unreconciled(window, held.stored)
    outcome = _completed(window, missing, held.changed)
    if before is not None and _is_same(before.outcome, outcome):
        return before
    if missing:
        UNRECONCILED.inc()
        log.warning("window.unreconciled", integration_id=str(window.integration_id), days=len(missing))
    number = before.number + 1 if before else 1
    body = outcome.model_dump_json().encode()
    answers = ANSWERS.dump_json(window.answers) if window.answers else None
    return Reconciliation(_event_id(window, number), number, outcome.reconciled, outcome, body, answers)


def _event_id(window: WindowRead, number: int) -> str:
    return f"{window.reading_id}:completed" if number == 1 else f"{window.reading_id}:completed:{number}"


def _is_same(stored: SyncCompleted, outcome: SyncCompleted) -> bool:
    """What an earlier version stored names no changed days, only their number."""
    return stored == outcome.model_copy(update={"changed_days": stored.changed_days})


def _completed(window: WindowRead, missing: Sequence[date], changed: Sequence[date]) -> SyncCompleted:
    return SyncCompleted.model_validate(
        dict(window)
        | {
            "usd": total(window.totals.values()),
            "days_changed": len(changed),
            "changed_days": changed or None,
            "reconciled": not missing,
            "unreconciled_days": missing,
        }
    )
