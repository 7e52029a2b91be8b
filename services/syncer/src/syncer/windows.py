"""What happens to a window: its decision is stored by whoever holds the lease, and it is closed when that is published."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from common.database import Pipeline
from contract.fields import Trigger
from contract.problems import Code
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer.decisions import Decision, Scope, decide_failure
from syncer.domain import Days
from syncer.group_commit import GroupCommit, columns
from syncer.leases import Claim
from syncer.provider import ReadError
from syncer.requests import ids_of_window

NOTHING = timedelta(0)

_STORE_DECISION = "UPDATE windows SET decision = %(decision)s WHERE window_id = %(id)s AND closed_at IS NULL"

_RECORD_FAILURE = text("""
    UPDATE windows SET attempts = attempts + 1, code = :code, cause = :cause, failed_since = :failed_since, due_at = :due_at
    WHERE window_id = :id
""")

_RETRY_AFTER = text(
    "UPDATE integrations SET retry_after = greatest(retry_after, :retry_after) WHERE integration_id = :id"
)

_FINISH = """
    WITH released AS (
        UPDATE integrations i SET lease = NULL, lease_until = NULL, leased_window = NULL
        FROM unnest(%(id)b::uuid[], %(lease)b::uuid[], %(window_id)b::uuid[], %(team_id)b::text[], %(closed)b::boolean[],
                %(due_in)s::interval[], %(unused)b::interval[])
            ended(integration_id, lease, window_id, team_id, closed, due_in, unused)
        WHERE i.integration_id = ended.integration_id AND i.lease = ended.lease RETURNING ended.*
    ), team AS (
        UPDATE teams t SET lease = NULL, lease_until = NULL, full_at = t.full_at - released.unused
        FROM released WHERE t.team_id = released.team_id AND t.lease = released.lease
    )
    UPDATE windows w SET decision = NULL, closed_at = CASE WHEN released.closed THEN clock_timestamp() END,
        due_at = coalesce(clock_timestamp() + released.due_in, w.due_at)
    FROM released WHERE w.window_id = released.window_id RETURNING released.lease
"""

# In the order in which others lock them.
_MAKE_ALL_DUE = text("""
    UPDATE windows SET due_at = clock_timestamp() WHERE window_id IN (
        SELECT window_id FROM windows WHERE closed_at IS NULL AND decision IS NULL AND due_at > clock_timestamp()
        ORDER BY integration_id FOR UPDATE)
""")

_UNDECIDED = """
    SELECT w.*, i.account_id FROM windows w JOIN integrations i USING (integration_id)
    WHERE (w.integration_id = %(id)s OR w.window_id = ANY(%(ids)s::uuid[])) AND w.closed_at IS NULL AND w.decision IS NULL
        AND (i.leased_window IS DISTINCT FROM w.window_id OR i.lease_until < clock_timestamp())
    FOR UPDATE OF i
"""


async def store_decision(pipeline: Pipeline, window_id: UUID, decision: Decision) -> None:
    """From now on it will be published, by whichever process."""
    await pipeline.execute(_STORE_DECISION, {"id": window_id, "decision": decision.stored})


async def record_failure(
    connection: AsyncConnection,
    claim: Claim,
    error: ReadError,
    *,
    failed_since: datetime,
    due_at: datetime,
    retry_after: datetime | None = None,
) -> None:
    """A failed attempt, and when the next one is due; `retry_after` applies to all windows of the integration."""
    why = {"code": error.code.value, "cause": error.cause}
    await connection.execute(
        _RECORD_FAILURE, {"id": claim.window_id, "failed_since": failed_since, "due_at": due_at} | why
    )
    await connection.execute(_RETRY_AFTER, {"id": claim.integration_id, "retry_after": retry_after})


async def finish(connection: AsyncConnection, claim: Claim, *, due_now: bool = False) -> None:
    """Release the window, which has nothing to publish, for its next attempt; unless the lease was lost."""
    await connection.exec_driver_sql(_FINISH, columns([_end_of(claim, due_in=timedelta(0) if due_now else None)]))


async def close(group: GroupCommit, claim: Claim, *, closed: bool, unused: timedelta = NOTHING) -> None:
    """Release the window after its decision was published, closed or for its next attempt; unless the lease was lost.

    Only other windows of the integration wait for that: what was published is on its way to the ledger, which has the
    processors to itself.

    `unused`: what the claim took of the team's rate for a call that was not made.
    """
    values = _end_of(claim, closed=closed, unused=unused)
    await group.execute(claim.integration_id, claim.lease, _FINISH, values, is_urgent=claim.others_open)


async def postpone(group: GroupCommit, claim: Claim, seconds: float, *, unused: timedelta) -> None:
    """Release the window without an attempt, due in `seconds`; `unused` as for `close`."""
    values = _end_of(claim, due_in=timedelta(seconds=seconds), unused=unused)
    await group.execute(claim.integration_id, claim.lease, _FINISH, values)


def _end_of(
    claim: Claim, *, closed: bool = False, due_in: timedelta | None = None, unused: timedelta = NOTHING
) -> dict[str, object]:
    ids = {"id": claim.integration_id, "team_id": claim.team_id, "window_id": claim.window_id, "lease": claim.lease}
    return ids | {"closed": closed, "due_in": due_in, "unused": unused}


async def make_all_due(connection: AsyncConnection) -> None:
    """The outage that windows wait for is over. A provider's Retry-After still applies."""
    await connection.execute(_MAKE_ALL_DUE)


async def close_windows(
    pipeline: Pipeline,
    code: Code,
    at: datetime,
    *,
    integration_id: UUID | None = None,
    window_ids: Collection[UUID] = (),
) -> list[UUID]:
    """End windows without a call, as `code`: those of an integration, or the named ones; answers which of them.

    Decided ones and claimed ones are left as they are.
    """
    undecided = await pipeline.execute(_UNDECIDED, {"id": integration_id, "ids": list(window_ids)})
    rows = await undecided.fetchall()
    for row in rows:
        event_id = f"{row['window_id']}:final"
        scope = _scope(row, await ids_of_window(pipeline, row["window_id"]))
        decision = decide_failure(scope, code, event_id=event_id, at=at, attempts=row["attempts"])
        await store_decision(pipeline, row["window_id"], decision)
    return [row["window_id"] for row in rows]


def _scope(row: dict[str, Any], request_ids: tuple[str, ...]) -> Scope:
    days = Days(row["first_day"], row["last_day"])
    return Scope(row["integration_id"], row["account_id"], Trigger(row["trigger"]), request_ids, days)
