"""What happened to an account's integrations, numbered in the order of the commits. Callers own the transaction.

The numbers are given under the lock of the account's row, which is held until the commit: none appears behind another.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
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
"""Postgres tells here, at the commit, whose events there are: the payload is the account."""
KEPT_DAYS = 7
AT_ONCE = 100
DIGITS = 18
"""Of the largest number that an account's events may reach."""


class Shown(BaseModel):
    """What a card says of an integration's identity and status; its fields mean what they mean there."""

    model_config = ConfigDict(from_attributes=True)

    integration_id: UUID
    team_id: str
    label: str
    plan: Plan
    status: Status
    status_code: Code | None
    status_text: str
    status_detail: str | None
    status_since: Instant
    version: int
    credential_version: int
    history: History | None
    removed_at: Instant | None
    backfill: Backfill


@dataclass(frozen=True, slots=True)
class Happened:
    """An event: a line of JSON of its kind, `integration` or `sync`."""

    number: int
    kind: str
    body: str


@dataclass(frozen=True, slots=True)
class Present:
    """How things stand when the event `number` was the newest; each of `integrations` is the body of an event."""

    number: int
    integrations: Sequence[str]
    integration_ids: Sequence[UUID]


_NOTE = text("""
    WITH numbered AS (UPDATE accounts SET last_event = last_event + 1 WHERE account_id = :account_id RETURNING last_event),
    noted AS (
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

_PUT_AWAY = text("""
    DELETE FROM account_events e USING (
        SELECT account_id, max(number) AS number FROM account_events
        WHERE at < clock_timestamp() - make_interval(days => :days) GROUP BY account_id
    ) old WHERE e.account_id = old.account_id AND e.number <= old.number
""")


async def note_change(connection: AsyncConnection, integration_id: UUID) -> None:
    """Something that a screen shows of the integration has changed: tell what its row says now, also of a removed one."""
    row = (await connection.execute(_ROW, {"id": integration_id})).mappings().one()
    await _note_shown(connection, integration_of(dict(row)))


async def note_changes(connection: AsyncConnection, account_id: str) -> None:
    """The same of all of the account's integrations."""
    for integration in await store.load_all(connection, account_id):
        await _note_shown(connection, integration)


async def note_sync(connection: AsyncConnection, account_id: str, integration_id: UUID, sync: Sync) -> None:
    """The history of the integration has one more line."""
    line = {"integration_id": str(integration_id)} | line_of(sync).model_dump(mode="json")
    await _note(connection, account_id, integration_id, "sync", json.dumps(line, separators=(",", ":")))


async def erase(connection: AsyncConnection, account_id: str, integration_id: UUID) -> None:
    """The account wants the integration's history gone: events tell sums."""
    await connection.execute(
        text("DELETE FROM account_events WHERE account_id = :account_id AND integration_id = :integration_id"),
        {"account_id": account_id, "integration_id": integration_id},
    )


async def put_away(connection: AsyncConnection) -> None:
    """Forget events that are older than a week, of each account only the first ones, so that no gap comes into the rest."""
    await connection.execute(_PUT_AWAY, {"days": KEPT_DAYS})


async def after(connection: AsyncConnection, account_id: str, number: int) -> list[Happened] | None:
    """The next events after `number`, at most AT_ONCE, in order; None where what followed it is not kept, or it never was."""
    values = {"account_id": account_id, "after": number, "limit": AT_ONCE}
    rows = (await connection.execute(_AFTER, values)).all()
    newest = rows[0].last_event if rows else 0
    found = [Happened(row.number, row.kind, row.body) for row in rows if row.number is not None]
    follows = found[0].number == number + 1 if found else number == newest
    return found if follows else None


async def present(connection: AsyncConnection, account_id: str) -> Present:
    """How things stand now, all of it at one instant; the first statements of their transaction."""
    await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    newest = await connection.execute(
        text("SELECT last_event FROM accounts WHERE account_id = :id"), {"id": account_id}
    )
    integrations = await store.load_all(connection, account_id, removed=True)
    return Present(
        number=newest.scalar_one_or_none() or 0,
        integrations=[await _shown(connection, one) for one in integrations],
        integration_ids=[one.integration_id for one in integrations],
    )


async def _note_shown(connection: AsyncConnection, integration: Integration) -> None:
    body = await _shown(connection, integration)
    await _note(connection, integration.account_id, integration.integration_id, "integration", body)


async def _shown(connection: AsyncConnection, integration: Integration) -> str:
    days_read = await syncs.days_read(connection, integration)
    card = card_of(integration, None, days_read, integration.changed_at)
    return Shown.model_validate(card).model_dump_json()


async def _note(connection: AsyncConnection, account_id: str, integration_id: UUID, kind: str, body: str) -> None:
    values: dict[str, Any] = {
        "account_id": account_id,
        "integration_id": integration_id,
        "kind": kind,
        "body": body,
        "channel": CHANNEL,
    }
    await connection.execute(_NOTE, values)
    ACCOUNT_EVENTS.labels(kind).inc()
