"""Outcomes of windows, exactly as they were published."""

from dataclasses import dataclass

from contract.messages import SyncCompleted, WindowRead
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_SAVE = text("""
    INSERT INTO outcomes (reading_id, integration_id, account_id, event_id, judgements, reconciled, first_day, last_day,
        observed_at, unreconciled_days, outcome)
    VALUES (:reading_id, :integration_id, :account_id, :event_id, :judgements, :reconciled, :first_day, :last_day,
        :observed_at, :unreconciled_days, :outcome)
    ON CONFLICT (integration_id, reading_id, account_id) DO UPDATE SET event_id = excluded.event_id,
        judgements = excluded.judgements, reconciled = excluded.reconciled, first_day = excluded.first_day,
        last_day = excluded.last_day, observed_at = excluded.observed_at,
        unreconciled_days = excluded.unreconciled_days, outcome = excluded.outcome
""")


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Result of comparing a window with the stored days, and the event that announces it."""

    event_id: str
    number: int
    """From 1; the next one where the same window has a different outcome (column `judgements`)."""
    reconciled: bool
    outcome: SyncCompleted


async def load(connection: AsyncConnection, window: WindowRead) -> Reconciliation | None:
    """The last reconciliation of the window; None: it is the first."""
    rows = await connection.execute(
        text("""SELECT event_id, judgements, reconciled, outcome FROM outcomes
                WHERE integration_id = :integration_id AND reading_id = :reading_id AND account_id = :account_id"""),
        window.model_dump(include={"integration_id", "reading_id", "account_id"}),
    )
    row = rows.one_or_none()
    if row is None:
        return None
    return Reconciliation(row.event_id, row.judgements, row.reconciled, SyncCompleted.model_validate_json(row.outcome))


async def save(connection: AsyncConnection, reconciliation: Reconciliation) -> None:
    outcome = reconciliation.outcome
    fields = outcome.model_dump(
        include={"reading_id", "integration_id", "account_id", "first_day", "last_day", "observed_at"}
    )
    await connection.execute(
        _SAVE,
        fields
        | {
            # those for which it claims nothing
            "unreconciled_days": sorted({*outcome.unreconciled_days, *(outcome.questioned_days or ())}),
            "event_id": reconciliation.event_id,
            "judgements": reconciliation.number,
            "reconciled": reconciliation.reconciled,
            "outcome": outcome.model_dump_json(),
        },
    )
