"""Compares what windows claim with the stored days."""

from collections.abc import Sequence
from datetime import date

import structlog
from contract.messages import AnswerHash, SyncCompleted, WindowRead
from contract.money import total
from pydantic import TypeAdapter

from ledger.domain import unreconciled
from ledger.store.outcomes import FoundWindow, Reconciliation, WindowKey, key_of

ANSWERS = TypeAdapter(tuple[AnswerHash, ...])

log = structlog.get_logger()


def reconcile(windows: Sequence[tuple[WindowRead, FoundWindow]]) -> tuple[list[Reconciliation], list[Reconciliation]]:
    """Whether the ledger holds what each window claims: the results to announce, and those of them to be saved.

    A result is final once reconciled, and never reworded. A window that comes twice is compared with its own first
    result the second time.
    """
    known: dict[WindowKey, Reconciliation] = {}
    new: dict[WindowKey, Reconciliation] = {}
    results: list[Reconciliation] = []
    for window, found in windows:
        key = key_of(window)
        before = known.get(key, found.before)
        result = before if before and before.reconciled else _compare(window, found, before)
        if result is not before:
            new[key] = result
        known[key] = result
        results.append(result)
    return results, list(new.values())


def _compare(window: WindowRead, held: FoundWindow, before: Reconciliation | None) -> Reconciliation:
    """The result to announce: `before` where that is the same."""
    missing = unreconciled(window, held.stored)
    outcome = _completed(window, missing, held.changed)
    if before is not None and _is_same(before.outcome, outcome):
        return before
    if missing:
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
