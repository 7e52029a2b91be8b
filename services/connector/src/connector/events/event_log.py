"""The events of an account's integrations, numbered in the order of the commits. Callers own the transaction.

Numbers are given under the lock of the account's row, until the commit: none becomes visible after a higher one.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from common.database import Pipeline, pipelined
from common.metrics import ACCOUNT_EVENTS
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from connector import store, syncs
from connector.events.schemas import IntegrationBody
from connector.schemas import card_of, line_of
from connector.syncs import Progress, Sync

CHANNEL = "connector_account_events"
"""Of NOTIFY: at the commit of an event, with the account's ID as payload."""
PAGE_SIZE = 100
MAX_DIGITS = 18
"""Of the largest number that an account's events may reach."""


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


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that has no number yet."""

    account_id: str
    integration_id: UUID
    kind: str
    body: str


_APPEND = """
    WITH new AS (
        SELECT *, row_number() OVER (PARTITION BY account_id ORDER BY position) AS number
        FROM unnest(%(account_ids)s::text[], %(integration_ids)s::uuid[], %(kinds)s::text[], %(bodies)s::text[])
            WITH ORDINALITY AS new (account_id, integration_id, kind, body, position)
    ), counted AS (
        UPDATE accounts a SET last_event = a.last_event + many.count
        FROM (SELECT account_id, count(*) FROM new GROUP BY account_id) many WHERE a.account_id = many.account_id
        RETURNING a.account_id, a.last_event - many.count AS before
    ), appended AS (
        INSERT INTO account_events (account_id, number, kind, integration_id, body, at)
        SELECT account_id, before + number, kind, integration_id, CAST(body AS json), clock_timestamp()
        FROM new JOIN counted USING (account_id)
    )
    SELECT pg_notify(%(channel)s, account_id) FROM counted
"""

_AFTER = text("""
    SELECT a.last_event, e.number, e.kind, e.body FROM accounts a LEFT JOIN LATERAL (
        SELECT number, kind, body::text AS body FROM account_events
        WHERE account_id = a.account_id AND number > :after ORDER BY number LIMIT :limit
    ) e ON true WHERE a.account_id = :account_id ORDER BY e.number
""")

_NEWEST = "SELECT last_event FROM accounts WHERE account_id = %(id)s"

_ERASE = "DELETE FROM account_events WHERE account_id = %(account_id)s AND integration_id = %(integration_id)s"

_DELETE_EXPIRED = text("""
    DELETE FROM account_events e USING (
        SELECT account_id, max(number) AS number FROM account_events
        WHERE at < now() - CAST(:keep AS interval) GROUP BY account_id
    ) old WHERE e.account_id = old.account_id AND e.number <= old.number
""")


async def record_change(pipeline: Pipeline, *integration_ids: UUID) -> None:
    """Append the state of integrations, also of removed ones: something that a screen shows has changed."""
    progress = await syncs.progress(pipeline, integration_ids)
    await append(pipeline, [of_state(progress[integration_id]) for integration_id in integration_ids])


async def record_account_change(pipeline: Pipeline, account_id: str) -> None:
    """The same for all of the account's integrations."""
    await record_change(pipeline, *(one.integration_id for one in await store.load_all(pipeline, account_id)))


def of_sync(account_id: str, integration_id: UUID, sync: Sync) -> NewEvent:
    """A line of the integration's history."""
    line = {"integration_id": str(integration_id)} | line_of(sync).model_dump(mode="json")
    return NewEvent(account_id, integration_id, "sync", json.dumps(line, separators=(",", ":")))


def of_state(progress: Progress) -> NewEvent:
    """The state of an integration."""
    integration = progress.integration
    return NewEvent(integration.account_id, integration.integration_id, "integration", _body_of(progress))


async def append(pipeline: Pipeline, events: Sequence[NewEvent]) -> None:
    """Append the events in their order; the rows of their accounts are locked."""
    if not events:
        return
    values: dict[str, Any] = {
        "account_ids": [event.account_id for event in events],
        "integration_ids": [event.integration_id for event in events],
        "kinds": [event.kind for event in events],
        "bodies": [event.body for event in events],
        "channel": CHANNEL,
    }
    await pipeline.execute(_APPEND, values)
    for kind, count in Counter(event.kind for event in events).items():
        ACCOUNT_EVENTS.labels(kind).inc(count)


async def erase(pipeline: Pipeline, account_id: str, integration_id: UUID) -> None:
    """Delete the integration's events: they hold sums."""
    await pipeline.execute(_ERASE, {"account_id": account_id, "integration_id": integration_id})


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
    async with pipelined(connection) as pipeline:
        await pipeline.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        newest = await (await pipeline.execute(_NEWEST, {"id": account_id})).fetchone()
        ids = [one.integration_id for one in await store.load_all(pipeline, account_id, removed=True)]
        progress = await syncs.progress(pipeline, ids)
    return Snapshot(
        number=newest["last_event"] if newest else 0,
        integrations=[_body_of(progress[one]) for one in ids],
        integration_ids=ids,
    )


def _body_of(progress: Progress) -> str:
    card = card_of(progress, None, progress.integration.changed_at)
    return IntegrationBody.model_validate(card).model_dump_json()
