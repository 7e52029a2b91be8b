"""What outcomes read and change of the rows of integrations, many at once. Callers own the transaction."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from common.database import Cursor, Pipeline
from contract.tracing import traceparent

from connector.domain import Health
from connector.store import COLUMNS, FROM, Integration, integration_of
from connector.syncs import QUESTIONED


@dataclass(frozen=True, slots=True)
class LockedIntegration:
    """An integration that is not removed, before an outcome; its row is locked until the transaction ends."""

    integration: Integration
    questioned: list[date]
    """Days that are requested again."""
    has_open_heals: bool
    """Some healing left days open."""


_LOCK_ACCOUNTS = "SELECT FROM accounts WHERE account_id = ANY(%(ids)s) ORDER BY account_id FOR NO KEY UPDATE"

_LOCK = f"""
    SELECT {COLUMNS}, {QUESTIONED},
        EXISTS (SELECT 1 FROM syncs WHERE integration_id = i.integration_id AND trigger = 'heal' AND NOT reconciled) AS open_heals
    {FROM}
    JOIN unnest(%(ids)s::uuid[], %(account_ids)s::text[]) AS of (integration_id, account_id)
        ON (i.integration_id, i.account_id) = (of.integration_id, of.account_id)
    WHERE i.removed_at IS NULL ORDER BY i.integration_id FOR UPDATE OF i
"""  # noqa: S608 - only constants are put in

_ADVANCE = """
    UPDATE integrations i SET observed_at = new.observed_at
    FROM unnest(%(ids)s::uuid[], %(account_ids)s::text[], %(observed_at)s::timestamptz[])
        AS new (integration_id, account_id, observed_at)
    WHERE (i.integration_id, i.account_id) = (new.integration_id, new.account_id) AND i.removed_at IS NULL
        AND new.observed_at > coalesce(i.observed_at, '-infinity')
"""

_SET_HEALTH = """
    UPDATE integrations i SET status = new.status, status_code = new.code, changed_at = clock_timestamp(),
        version = version + 1, traceparent = new.traceparent,
        status_since = CASE WHEN i.status = new.status THEN status_since ELSE clock_timestamp() END
    FROM unnest(%(ids)s::uuid[], %(statuses)s::text[], %(codes)s::text[], %(traceparents)s::text[])
        AS new (integration_id, status, code, traceparent)
    WHERE i.integration_id = new.integration_id
"""

_SET_BEYOND = """
    UPDATE integrations SET beyond_xai_until = %(until)s, history_from = %(history_from)s, version = version + 1,
        backfill_first = greatest(backfill_first, %(history_from)s), changed_at = clock_timestamp(),
        traceparent = %(traceparent)s
    WHERE integration_id = %(id)s
"""


async def lock_accounts(pipeline: Pipeline, account_ids: Collection[str]) -> None:
    """Lock the accounts' rows, as `store.lock_account` does: in one order, so that no two transactions deadlock."""
    await pipeline.execute(_LOCK_ACCOUNTS, {"ids": list(account_ids)})


async def lock(pipeline: Pipeline, accounts: Mapping[UUID, str]) -> Cursor:
    """Lock integrations of locked accounts; those that are removed, or another account's, are left out.

    `accounts`: the account of each integration.
    """
    values = {"ids": list(accounts), "account_ids": list(accounts.values())}
    return await pipeline.execute(_LOCK, values)


async def locked(rows: Cursor) -> dict[UUID, LockedIntegration]:
    """What `lock` found."""
    return {
        row["integration_id"]: LockedIntegration(integration_of(row), row["questioned_days"], row["open_heals"])
        async for row in rows
    }


async def advance_observed_at(pipeline: Pipeline, observed: Sequence[tuple[UUID, str, datetime]]) -> None:
    """Store the instants of outcomes where they are newer: integration, its account, and instant."""
    ids, account_ids, instants = zip(*observed, strict=True)
    values = {"ids": [*ids], "account_ids": [*account_ids], "observed_at": [*instants]}
    await pipeline.execute(_ADVANCE, values)


async def set_health(pipeline: Pipeline, changes: Mapping[UUID, tuple[Health, str | None]]) -> None:
    """Give integrations a new health, and a version that is announced with the trace of what changed it."""
    if not changes:
        return
    values = {
        "ids": list(changes),
        "statuses": [health.status.value for health, _ in changes.values()],
        "codes": [health.code for health, _ in changes.values()],
        "traceparents": [trace for _, trace in changes.values()],
    }
    await pipeline.execute(_SET_HEALTH, values)


async def set_beyond(pipeline: Pipeline, known: Integration) -> None:
    """Store up to which day xAI refuses to report, and from which day on the history is expected."""
    values = {"id": known.integration_id, "until": known.beyond_xai_until, "history_from": known.history_from}
    await pipeline.execute(_SET_BEYOND, values | {"traceparent": traceparent.get()})
