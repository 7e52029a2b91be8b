"""Accounts and integrations. Callers own the transaction."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from common.database import Cursor, Pipeline
from contract.fields import History, Plan, Status
from contract.problems import Code
from contract.tracing import traceparent


@dataclass(frozen=True, slots=True)
class Integration:
    """A row, without the columns of the relay."""

    integration_id: UUID
    account_id: str
    team_id: str
    label: str
    plan: Plan
    status: Status
    status_code: Code | None
    status_since: datetime
    version: int
    credential_version: int
    wrap_version: int
    envelope: dict[str, str] | None
    history: History | None
    history_from: date
    backfill_first: date
    backfill_last: date
    beyond_xai_until: date | None
    """Last day that xAI refuses to report; newer days it reports."""
    added_at: datetime
    removed_at: datetime | None
    changed_at: datetime
    observed_at: datetime | None
    duplicate_of: UUID | None
    """The account's other integration of the same team: that one is read and counted, this one is not."""


COLUMNS = """i.integration_id, i.account_id, i.team_id, i.label, a.plan, i.status, i.status_code, i.status_since, i.version,
    i.credential_version, i.wrap_version, i.envelope, i.history, i.history_from, i.backfill_first, i.backfill_last,
    i.beyond_xai_until, i.added_at, i.removed_at, i.changed_at, i.observed_at, i.duplicate_of"""
FROM = "FROM integrations i JOIN accounts a USING (account_id)"

_FIND_BY_TEAM = f"""
    SELECT {COLUMNS} {FROM}
    WHERE i.account_id = %(account_id)s AND canonical_team_id(i.team_id) = %(team_id)s AND i.history IS DISTINCT FROM 'erase'
        AND (i.removed_at IS NOT NULL OR i.duplicate_of IS NULL)
    ORDER BY (i.removed_at IS NULL) DESC, (i.duplicate_of IS NULL) DESC, i.removed_at DESC LIMIT 1 FOR UPDATE OF i
"""  # noqa: S608 - only constants are put in

_SET_PLAN = """
    INSERT INTO accounts AS a (account_id, plan) VALUES (%(id)s, coalesce(%(plan)s::text, 'free'))
    ON CONFLICT (account_id) DO UPDATE SET plan = coalesce(%(plan)s::text, a.plan)
    RETURNING coalesce(old.plan, new.plan) AS former, new.plan AS plan, clock_timestamp() AS at
"""

_LOCK_ACCOUNT = "SELECT FROM accounts WHERE account_id = %(id)s FOR NO KEY UPDATE"

_LABELS = "SELECT label FROM integrations WHERE account_id = %(id)s AND removed_at IS NULL"

_LOAD = f"""
    SELECT {COLUMNS} {FROM}
    WHERE i.account_id = %(account_id)s AND i.integration_id = %(integration_id)s AND i.removed_at IS NULL
"""
_LOAD_LOCKED = f"{_LOAD} FOR UPDATE OF i"

_LOAD_ALL = f"""
    SELECT {COLUMNS} {FROM}
    WHERE i.account_id = %(id)s AND (i.removed_at IS NULL OR (%(removed)s AND i.history = 'keep')) ORDER BY i.added_at
"""

_SAVE = """
    INSERT INTO integrations (integration_id, account_id, team_id, label, status, status_since, version, credential_version,
        wrap_version, envelope, sealed_at, history_from, backfill_first, backfill_last, added_at, changed_at, traceparent)
    VALUES (%(integration_id)s, %(account_id)s, %(team_id)s, %(label)s, %(status)s, %(added_at)s, %(version)s,
        %(credential_version)s, %(wrap_version)s, %(envelope)s::jsonb, %(added_at)s, %(history_from)s, %(backfill_first)s,
        %(backfill_last)s, %(added_at)s, %(added_at)s, %(traceparent)s)
    ON CONFLICT (integration_id) DO UPDATE SET
        team_id = excluded.team_id, duplicate_of = NULL, label = excluded.label,
        status = excluded.status, status_code = NULL, status_since = excluded.status_since,
        version = excluded.version, credential_version = excluded.credential_version, wrap_version = excluded.wrap_version,
        envelope = excluded.envelope, sealed_at = excluded.sealed_at, history = NULL, history_from = excluded.history_from,
        backfill_first = excluded.backfill_first, backfill_last = excluded.backfill_last, added_at = excluded.added_at,
        removed_at = NULL, changed_at = excluded.changed_at, traceparent = excluded.traceparent, observed_at = NULL,
        beyond_xai_until = NULL
"""

_REMOVE = """
    UPDATE integrations SET status = 'removed', history = %(history)s, changed_at = clock.now,
        status_code = CASE WHEN duplicate_of IS NOT NULL THEN 'already_connected' END,
        status_since = CASE WHEN removed_at IS NULL THEN clock.now ELSE status_since END,
        removed_at = coalesce(removed_at, clock.now), envelope = NULL, version = version + 1, traceparent = %(traceparent)s
    FROM (SELECT clock_timestamp() AS now) clock
    WHERE account_id = %(account_id)s AND integration_id = %(integration_id)s
        AND (removed_at IS NULL OR (history = 'keep' AND %(history)s = 'erase'))
    RETURNING integration_id
"""

_RENAME = """
    UPDATE integrations SET label = %(label)s, changed_at = clock_timestamp(), version = version + 1,
        traceparent = %(traceparent)s
    WHERE integration_id = %(id)s
"""

_REPLACE_CREDENTIAL = """
    UPDATE integrations SET envelope = %(envelope)s::jsonb, credential_version = credential_version + 1, wrap_version = 1,
        sealed_at = clock_timestamp()
    WHERE integration_id = %(id)s
"""

_APPLY_PLAN = """
    UPDATE integrations SET version = version + 1, changed_at = %(now)s, traceparent = %(traceparent)s,
        history_from = least(history_from, %(history_from)s),
        backfill_first = CASE WHEN history_from > %(history_from)s THEN %(history_from)s ELSE backfill_first END,
        status = CASE WHEN history_from > %(history_from)s AND status = 'active' THEN 'backfilling' ELSE status END,
        status_since = CASE WHEN history_from > %(history_from)s AND status = 'active' THEN %(now)s ELSE status_since END
    WHERE account_id = %(account_id)s AND removed_at IS NULL
"""


async def now(pipeline: Pipeline) -> datetime:
    """The database's clock: the one clock of all connectors."""
    [row] = await (await pipeline.execute("SELECT clock_timestamp() AS now")).fetchall()
    instant: datetime = row["now"]
    return instant


async def set_plan(pipeline: Pipeline, account_id: str, plan: Plan | None) -> Cursor:
    """Set the account's plan and lock its row until the transaction ends; None keeps it, and of a new account is `free`."""
    return await pipeline.execute(_SET_PLAN, {"id": account_id, "plan": plan and plan.value})


async def plan_set(rows: Cursor) -> tuple[Plan, Plan, datetime]:
    """What `set_plan` answers: the former plan (of a new account its first), the plan, and the instant."""
    [row] = await rows.fetchall()
    return Plan(row["former"]), Plan(row["plan"]), row["at"]


async def lock_account(pipeline: Pipeline, account_id: str) -> None:
    """Lock the account's row until the transaction ends, so that its changes are serial.

    Every change locks the account before any of its integrations: no two changes can deadlock.
    """
    await pipeline.execute(_LOCK_ACCOUNT, {"id": account_id})


async def apply_plan(pipeline: Pipeline, account_id: str, history_from: date, at: datetime) -> None:
    """Give every live integration of the account a new version, and a history from `history_from` at the latest."""
    await pipeline.execute(_APPLY_PLAN, _traced(account_id=account_id, history_from=history_from, now=at))


async def find_by_team(pipeline: Pipeline, account_id: str, team_id: str) -> Cursor:
    """Lock the account's integration of the team: the live one, or the last one with its history kept; `found` reads it.

    `team_id` is canonical. Duplicates that are not removed do not count.
    """
    return await pipeline.execute(_FIND_BY_TEAM, {"account_id": account_id, "team_id": team_id})


async def found(rows: Cursor) -> Integration | None:
    """The integration that was looked for, if there is one."""
    row = await rows.fetchone()
    return integration_of(row) if row else None


async def labels(pipeline: Pipeline, account_id: str) -> Cursor:
    """The labels of the account's integrations."""
    return await pipeline.execute(_LABELS, {"id": account_id})


async def save(pipeline: Pipeline, added: Integration) -> None:
    """Write a new integration, or one that returns under its former ID; it has no sync yet."""
    values = {name: getattr(added, name) for name in Integration.__slots__}
    own = {"status": added.status.value, "envelope": json.dumps(added.envelope)}
    await pipeline.execute(_SAVE, _traced(**values | own))


async def rename(pipeline: Pipeline, integration_id: UUID, label: str) -> None:
    await pipeline.execute(_RENAME, _traced(id=integration_id, label=label))


async def replace_credential(pipeline: Pipeline, integration_id: UUID, envelope: dict[str, str]) -> None:
    """Replace the sealed key; the caller then calls `set_health`, which increments the row's version."""
    await pipeline.execute(_REPLACE_CREDENTIAL, {"id": integration_id, "envelope": json.dumps(envelope)})


async def load(pipeline: Pipeline, account_id: str, integration_id: UUID, *, lock: bool = False) -> Integration | None:
    """The account's integration, unless it was removed; `lock`: it and its account, until the transaction ends."""
    values = {"account_id": account_id, "integration_id": integration_id}
    if lock:
        await lock_account(pipeline, account_id)
    return await found(await pipeline.execute(_LOAD_LOCKED if lock else _LOAD, values))


async def load_all(pipeline: Pipeline, account_id: str, *, removed: bool = False) -> list[Integration]:
    """The account's integrations, oldest first; with `removed` also those whose history was kept."""
    rows = await pipeline.execute(_LOAD_ALL, {"id": account_id, "removed": removed})
    return [integration_of(row) async for row in rows]


async def remove(pipeline: Pipeline, account_id: str, integration_id: UUID, history: History) -> bool:
    """End the integration and delete its sealed key, or erase one that was removed; False where there is none."""
    values = _traced(account_id=account_id, integration_id=integration_id, history=history.value)
    return bool(await (await pipeline.execute(_REMOVE, values)).fetchall())


def _traced(**values: object) -> dict[str, object]:
    """`values` with the trace of what is handled now: the new version of the row is announced with it."""
    return values | {"traceparent": traceparent.get()}


def integration_of(fields: Mapping[str, Any]) -> Integration:
    """The integration in a row that has COLUMNS."""
    parsed = {
        "plan": Plan(fields["plan"]),
        "status": Status(fields["status"]),
        "status_code": Code(fields["status_code"]) if fields["status_code"] else None,
        "history": History(fields["history"]) if fields["history"] else None,
    }
    return Integration(**{name: fields[name] for name in Integration.__slots__} | parsed)
