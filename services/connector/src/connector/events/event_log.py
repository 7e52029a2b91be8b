"""The events of an account's integrations, numbered in the order of the commits. Callers own the transaction.

Numbers are given under the lock of the account's row, until the commit: none becomes visible after a higher one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from common.metrics import ACCOUNT_EVENTS
from contract.fields import History, Instant, Plan, Status
from contract.problems import Code
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from connector import store, syncs
from connector.schemas import Backfill, card_of, line_of
from connector.store import COLUMNS, FROM, Integration, integration_of
from connector.syncs import Sync

CHANNEL = "connector_account_events"
"""Of NOTIFY: at the commit of an event, with the account's ID as payload."""
PAGE_SIZE = 100
MAX_DIGITS = 18
"""Of the largest number that an account's events may reach."""


class IntegrationBody(BaseModel):
    """Body of an `integration` event: the card's fields of identity and status, with their meaning there."""

    model_config = ConfigDict(from_attributes=True)

    integration_id: UUID
    team_id: str
    label: str
    plan: Plan
    status: Status
    status_code: Code | None
    status_text: str
    status_detail: str | None
    questioned_days: list[date]
    status_since: Instant
    version: int
    credential_version: int
    history: History | None
    removed_at: Instant | None
    backfill: Backfill


@dataclass(frozen=True, slots=True)
class AccountEvent:
    """One event; `body` is a line of JSON of its kind, `integration` or `sync`."""

    number: int
    kind: str
    body: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state when the event `number` was the newest; `integrations`: bodies of `integration` events."""

    number: int
    integrations: Sequence[str]
    integration_ids: Sequence[UUID]


_APPEND = text("""
    WITH numbered AS (UPDATE accounts SET last_event = last_event + 1 WHERE account_id = :account_id RETURNING last_event),
    appended AS (
        INSERT INTO account_events (account_id, number, kind, integration_id, body, at)
        SELECT :account_id, last_event, :kind, :integration_id, CAST(:body AS json), clock_timestamp() FROM numbered
    )
    SELECT pg_notify(:channel, :account_id)
""")

_ROW = text(f"SELECT {COLUMNS} {FROM} WHERE i.integration_id = :id")

_AFTER = text("""
    SELECT a.last_event, e.number, e.kind, e.body FROM accounts a LEFT JOIN LATERAL (
        SELECT number, kind, body::text AS body FROM account_events
        WHERE account_id = a.account_id AND number > :after ORDER BY number LIMIT :limit
    ) e ON true WHERE a.account_id = :account_id ORDER BY e.number
""")

_DELETE_EXPIRED = text("""
    DELETE FROM account_events e USING (
        SELECT account_id, max(number) AS number FROM account_events
        WHERE at < clock_timestamp() - CAST(:keep AS interval) GROUP BY account_id
    ) old WHERE e.account_id = old.account_id AND e.number <= old.number
""")


async def record_change(connection: AsyncConnection, integration_id: UUID) -> None:
    """Append the state of the integration, also of a removed one: something that a screen shows has changed."""
    row = (await connection.execute(_ROW, {"id": integration_id})).mappings().one()
    await _append_state(connection, integration_of(dict(row)))


async def record_account_change(connection: AsyncConnection, account_id: str) -> None:
    """The same for all of the account's integrations."""
    for integration in await store.load_all(connection, account_id):
        await _append_state(connection, integration)


async def record_sync(connection: AsyncConnection, account_id: str, integration_id: UUID, sync: Sync) -> None:
    """Append a line of the integration's history."""
    line = {"integration_id": str(integration_id)} | line_of(sync).model_dump(mode="json")
    await _append(connection, account_id, integration_id, "sync", json.dumps(line, separators=(",", ":")))


async def erase(connection: AsyncConnection, account_id: str, integration_id: UUID) -> None:
    """Delete the integration's events: they hold sums."""
    await connection.execute(
        text("DELETE FROM account_events WHERE account_id = :account_id AND integration_id = :integration_id"),
        {"account_id": account_id, "integration_id": integration_id},
    )


async def delete_expired(connection: AsyncConnection, keep: timedelta) -> None:
    """Delete events older than `keep`; of each account only the first ones, so that the rest has no gap."""
    await connection.execute(_DELETE_EXPIRED, {"keep": keep})


async def events_after(connection: AsyncConnection, account_id: str, number: int) -> list[AccountEvent] | None:
    """The next events, at most PAGE_SIZE, in order; None where the next one is deleted, or `number` never existed."""
    values = {"account_id": account_id, "after": number, "limit": PAGE_SIZE}
    rows = (await connection.execute(_AFTER, values)).all()
    newest = rows[0].last_event if rows else 0
    events = [AccountEvent(row.number, row.kind, row.body) for row in rows if row.number is not None]
    follows = events[0].number == number + 1 if events else number == newest
    return events if follows else None


async def snapshot(connection: AsyncConnection, account_id: str) -> Snapshot:
    """The account's integrations now, all of one instant; must be the first statements of the transaction."""
    await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    newest = await connection.execute(
        text("SELECT last_event FROM accounts WHERE account_id = :id"), {"id": account_id}
    )
    integrations = await store.load_all(connection, account_id, removed=True)
    return Snapshot(
        number=newest.scalar_one_or_none() or 0,
        integrations=[await _body_of(connection, one) for one in integrations],
        integration_ids=[one.integration_id for one in integrations],
    )


async def _append_state(connection: AsyncConnection, integration: Integration) -> None:
    body = await _body_of(connection, integration)
    await _append(connection, integration.account_id, integration.integration_id, "integration", body)


async def _body_of(connection: AsyncConnection, integration: Integration) -> str:
    days_read = await syncs.days_read(connection, integration)
    questioned = await syncs.questioned(connection, integration)
    card = card_of(integration, None, days_read, questioned, integration.changed_at)
    return IntegrationBody.model_validate(card).model_dump_json()


async def _append(connection: AsyncConnection, account_id: str, integration_id: UUID, kind: str, body: str) -> None:
    values: dict[str, Any] = {
        "account_id": account_id,
        "integration_id": integration_id,
        "kind": kind,
        "body": body,
        "channel": CHANNEL,
    }
    await connection.execute(_APPEND, values)
    ACCOUNT_EVENTS.labels(kind).inc()
