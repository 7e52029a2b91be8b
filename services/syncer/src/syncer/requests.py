"""Requests become windows here: each is taken once, and joins an open window that covers its days, or opens one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from common.database import Cursor, Pipeline, pipelined
from contract.fields import Trigger
from contract.problems import Code
from contract.tracing import traceparent
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer import store, targets
from syncer.decisions import Scope, decide_failure
from syncer.domain import Days, urgency_of
from syncer.targets import Target, blocking_code

MAX_REQUESTS = 1000
"""Of one window: their IDs must fit into its outcome's record."""
SHARED_FOR = timedelta(seconds=1)
"""How long a window that is opened while its integration is being read waits for further requests, which share its call."""


@dataclass(frozen=True, slots=True)
class Request:
    """Days to be read, of one integration or of all active ones."""

    request_id: str
    trigger: Trigger
    days: Days
    requested_at: datetime | None = None
    """Of a request for all: it does not include integrations added later, by more than clocks differ, also when replayed."""
    traceparent: str | None = field(default_factory=traceparent.get)
    """Of what is handled now, or as it is stored."""


# The first integrations of all accounts, then the second ones: an account with many delays no other.
_ALL = text("""
    SELECT integration_id FROM integrations i
    WHERE NOT removed AND added_at <= coalesce(CAST(:requested_at AS timestamptz), 'infinity') + interval '5 seconds'
        AND NOT EXISTS (SELECT FROM requests r WHERE r.integration_id = i.integration_id AND r.request_id = :request_id)
    ORDER BY row_number() OVER (PARTITION BY account_id ORDER BY integration_id), integration_id
""")

_STORE = """
    INSERT INTO requests
        (integration_id, request_id, trigger, first_day, last_day, traceparent, received_at, status, ended_at)
    VALUES (%(id)s, %(request_id)s, %(trigger)s, %(first_day)s, %(last_day)s, %(traceparent)s, clock_timestamp(),
        %(status)s, %(ended_at)s)
    ON CONFLICT (integration_id, request_id) DO NOTHING
"""

# A request that is stored and waits for its integration gets its window, too.
_QUEUE = """
    WITH new AS MATERIALIZED (
        SELECT * FROM unnest(CAST(%(window_ids)s AS uuid[]), CAST(%(ids)s AS uuid[]), CAST(%(decisions)s AS text[]))
            WITH ORDINALITY AS new(window_id, integration_id, decision, place)
        WHERE NOT EXISTS (SELECT FROM requests r WHERE r.integration_id = new.integration_id AND r.request_id = %(request_id)s
            AND (r.window_id IS NOT NULL OR r.status <> 'accepted'))
    ), joined AS MATERIALIZED (
        SELECT DISTINCT ON (w.integration_id) w.integration_id, w.window_id
        FROM new JOIN windows w USING (integration_id) JOIN integrations i USING (integration_id)
        WHERE new.decision IS NULL AND w.closed_at IS NULL AND w.decision IS NULL
            AND w.first_day <= %(first_day)s AND w.last_day >= %(last_day)s
            AND (i.leased_window IS DISTINCT FROM w.window_id OR i.lease_until < clock_timestamp())
            AND (SELECT count(*) FROM requests r WHERE r.window_id = w.window_id) < %(max_requests)s
        ORDER BY w.integration_id, w.urgency, w.created_at
    ), taken AS (
        INSERT INTO requests
            (integration_id, request_id, trigger, first_day, last_day, traceparent, received_at, window_id)
        SELECT integration_id, %(request_id)s, %(trigger)s, %(first_day)s, %(last_day)s, %(traceparent)s, clock_timestamp(),
            coalesce(joined.window_id, new.window_id)
        FROM new LEFT JOIN joined USING (integration_id)
        ON CONFLICT (integration_id, request_id) DO UPDATE SET window_id = excluded.window_id
            WHERE requests.window_id IS NULL AND requests.status = 'accepted'
        RETURNING integration_id, window_id
    ), shared AS (
        UPDATE windows w SET
            trigger = CASE WHEN %(urgency)s < urgency THEN %(trigger)s ELSE trigger END,
            urgency = least(urgency, %(urgency)s),
            traceparent = coalesce(traceparent, %(traceparent)s),
            due_at = CASE WHEN %(now_due)s AND due_at > clock_timestamp() + %(shared_for)s
                THEN clock_timestamp() ELSE due_at END
        FROM joined JOIN taken USING (window_id) WHERE w.window_id = joined.window_id
    ), opened AS MATERIALIZED (
        SELECT new.*, i.account_id, i.lease_until
        FROM taken JOIN new USING (window_id) JOIN integrations i ON i.integration_id = new.integration_id
    ), waiting AS MATERIALIZED (
        SELECT account_id, (SELECT count(*) FROM integrations i JOIN windows w USING (integration_id)
            WHERE i.account_id = one.account_id AND w.closed_at IS NULL AND w.decision IS NULL
                AND w.urgency = %(urgency)s AND w.last_day >= %(last_day)s) AS windows
        FROM (SELECT DISTINCT account_id FROM opened) one
    )
    INSERT INTO windows (window_id, integration_id, trigger, urgency, turn, first_day, last_day, traceparent, created_at,
        due_at, decision)
    SELECT window_id, integration_id, %(trigger)s, %(urgency)s,
        waiting.windows + row_number() OVER (PARTITION BY account_id ORDER BY place) - 1,
        %(first_day)s, %(last_day)s, %(traceparent)s, clock.at,
        clock.at - (cardinality(CAST(%(ids)s AS uuid[])) - place) * interval '1 microsecond'
            + CASE WHEN lease_until >= clock.at THEN %(shared_for)s ELSE interval '0' END, decision
    FROM opened JOIN waiting USING (account_id), (SELECT clock_timestamp() AS at OFFSET 0) clock
"""

_PENDING = """
    SELECT * FROM requests WHERE integration_id = ANY(%(ids)s) AND window_id IS NULL AND status = 'accepted'
    ORDER BY received_at FOR UPDATE
"""

_IDS = "SELECT request_id FROM requests WHERE window_id = %(id)s ORDER BY received_at, request_id"


async def take(pipeline: Pipeline, request: Request, integration_id: UUID, now: datetime) -> None:
    """Queue `request` for one integration, which may not be known yet; once only."""
    await take_locked(pipeline, request, integration_id, now, await targets.lock(pipeline, [integration_id]))


async def lock(pipeline: Pipeline, integration_id: UUID) -> tuple[datetime, list[Target]]:
    """As `store.serialize`, and the integration, locked, where it is known."""
    at = await store.serialize_all(pipeline, [integration_id])
    known = await targets.lock(pipeline, [integration_id])
    return await store.instant_of(at), known


async def take_locked(
    pipeline: Pipeline, request: Request, integration_id: UUID, now: datetime, known: Sequence[Target]
) -> None:
    """As `take`; `known` has the integration where it is known."""
    if known:
        await _queue(pipeline, request, known, now)
    else:
        await _store(pipeline, request, integration_id)


async def targets_of_all(connection: AsyncConnection, request: Request) -> list[UUID]:
    """The active integrations that did not take `request` yet, in the order in which they are to be read."""
    values = {"requested_at": request.requested_at, "request_id": request.request_id}
    return list((await connection.execute(_ALL, values)).scalars())


async def take_for_some(connection: AsyncConnection, request: Request, ids: Sequence[UUID], now: datetime) -> None:
    """Queue a request for all for some of its targets, in their order; once only."""
    async with pipelined(connection) as pipeline:
        active = {one.integration_id: one for one in await targets.lock(pipeline, ids) if not one.removed}
        await _queue(pipeline, request, [active[one] for one in ids if one in active], now)


async def end(pipeline: Pipeline, request: Request, integration_id: UUID, code: Code, ended_at: datetime) -> None:
    """Take `request` for one integration, which may not be known, and end it without a window; once only."""
    await _store(pipeline, request, integration_id, status=code.value, ended_at=ended_at)


async def pending(pipeline: Pipeline, integration_ids: Collection[UUID]) -> Cursor:
    """The requests that arrived before their integrations were known, locked; the rows are for `pending_of`."""
    return await pipeline.execute(_PENDING, {"ids": list(integration_ids)})


async def pending_of(rows: Cursor) -> dict[UUID, list[Request]]:
    """What `pending` answered: the requests of each integration that has some, in their order."""
    found: dict[UUID, list[Request]] = {}
    for row in await rows.fetchall():
        days = Days(row["first_day"], row["last_day"])
        request = Request(row["request_id"], Trigger(row["trigger"]), days, traceparent=row["traceparent"])
        found.setdefault(row["integration_id"], []).append(request)
    return found


async def queue_pending(pipeline: Pipeline, integration_id: UUID, now: datetime) -> None:
    """The integration became known: queue the requests that arrived before it."""
    waiting = await pending_of(await pending(pipeline, [integration_id]))
    if waiting:
        known = await targets.lock(pipeline, [integration_id])
        for request in waiting[integration_id]:
            await _queue(pipeline, request, known, now)


async def ids_of_window(pipeline: Pipeline, window_id: UUID) -> tuple[str, ...]:
    """The requests that a window answers, oldest first."""
    rows = await pipeline.execute(_IDS, {"id": window_id})
    return tuple([row["request_id"] for row in await rows.fetchall()])


async def _queue(pipeline: Pipeline, request: Request, known: Sequence[Target], now: datetime) -> None:
    """Let `request`, unless it has a window already, join an open window of each target, or open one."""
    windows = {uuid4(): target for target in known}
    values = _values(request) | {
        "window_ids": list(windows),
        "ids": [target.integration_id for target in windows.values()],
        "decisions": [_ended(request, target, window, now) for window, target in windows.items()],
        "now_due": request.trigger is Trigger.FORCE,
        "max_requests": MAX_REQUESTS,
        "shared_for": SHARED_FOR,
    }
    await pipeline.execute(_QUEUE, values)


async def _store(
    pipeline: Pipeline,
    request: Request,
    integration_id: UUID,
    *,
    status: str = "accepted",
    ended_at: datetime | None = None,
) -> None:
    """Without a window."""
    values = _values(request) | {"id": integration_id, "status": status, "ended_at": ended_at}
    await pipeline.execute(_STORE, values)


def _values(request: Request) -> dict[str, object]:
    return {
        "request_id": request.request_id,
        "trigger": request.trigger.value,
        "urgency": urgency_of(request.trigger),
        "first_day": request.days.first,
        "last_day": request.days.last,
        "traceparent": request.traceparent,
    }


def _ended(request: Request, target: Target, window_id: UUID, now: datetime) -> str | None:
    """The decision of a window that makes no call; None where it makes one."""
    code = blocking_code(target, request.trigger, now)
    if code is None:
        return None
    scope = Scope(target.integration_id, target.account_id, request.trigger, (request.request_id,), request.days)
    return decide_failure(scope, code, event_id=f"{window_id}:final", at=now).stored
