"""The queue of windows: claimed on a lease of their integration, decided by compare-and-set on it, closed when published."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from contract.fields import Trigger
from contract.messages import SyncFailed
from contract.problems import Code
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer.decisions import Decision, FailureDecision
from syncer.domain import Days, Refusal
from syncer.store import Credential, load_credential

LEASE_SECONDS = 20
"""How long a window waits for a process that died; who holds one renews it every few seconds."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A window in hand, and what is needed to read it."""

    lease: UUID
    window_id: UUID
    integration_id: UUID
    account_id: str
    team_id: str
    observed_at: datetime
    """Taken from the database's clock under the claim; later than every one before it."""
    days: Days
    trigger: Trigger
    visits_only: bool
    """Nobody but visitors asked for it."""
    attempts: int
    failed_since: datetime | None
    code: Code | None
    """Of the attempt before."""
    decision: str | None
    """Decided before, but not known to be published."""
    removed: bool
    refusal: Refusal | None
    read_at: datetime | None
    credential: Credential | None


@dataclass(frozen=True, slots=True)
class Held:
    """What a claim stands for at the moment of its decision, its integration's row locked."""

    removed: bool
    refused: bool
    credential_version: int
    """Newest that was announced or has arrived."""
    trigger: Trigger
    request_ids: tuple[str, ...]


_READY = """w.closed_at IS NULL AND (w.decision IS NOT NULL OR i.removed OR (w.due_at <= clock_timestamp()
    AND i.team_id <> ALL(CAST(:busy AS text[]))
    AND (i.retry_after IS NULL OR i.retry_after <= clock_timestamp())
    AND EXISTS (SELECT 1 FROM credentials c
        WHERE c.integration_id = i.integration_id AND c.credential_version >= i.credential_version)))"""
_READY_WITHOUT_A_CALL = "w.closed_at IS NULL AND (w.decision IS NOT NULL OR i.removed)"
_ORDER = "(w.decision IS NULL), w.urgency, w.last_day DESC, w.due_at"

_LOCK_NEXT = """
    SELECT i.integration_id FROM windows w JOIN integrations i USING (integration_id)
    WHERE {ready} AND (i.lease IS NULL OR i.lease_until < clock_timestamp())
    ORDER BY {order} LIMIT 1 FOR UPDATE OF i SKIP LOCKED
"""

_LEASE = """
    UPDATE integrations i SET
        lease = :lease, lease_owner = :owner, leased_window = picked.window_id,
        lease_until = clock_timestamp() + make_interval(secs => :seconds),
        observed_at = greatest(clock_timestamp(), i.observed_at + interval '1 microsecond')
    FROM (
        SELECT w.* FROM windows w JOIN integrations i USING (integration_id)
        WHERE w.integration_id = :id AND {ready} ORDER BY {order} LIMIT 1
    ) picked
    WHERE i.integration_id = :id
    RETURNING i.integration_id, i.account_id, i.team_id, i.observed_at, i.removed, i.refused_code, i.refused_since, i.read_at,
        picked.window_id, picked.first_day, picked.last_day, picked.trigger, picked.attempts, picked.failed_since,
        picked.code, picked.decision,
        NOT EXISTS (SELECT 1 FROM requests r WHERE r.window_id = picked.window_id AND r.trigger <> 'visit') AS visits_only
"""

_CLAIM = {
    calls: tuple(text(part.format(ready=ready, order=_ORDER)) for part in (_LOCK_NEXT, _LEASE))
    for calls, ready in ((True, _READY), (False, _READY_WITHOUT_A_CALL))
}

_HOLD = text("""
    SELECT i.removed, i.refused_code IS NOT NULL AS refused, w.trigger,
        greatest(i.credential_version, (SELECT c.credential_version FROM credentials c
            WHERE c.integration_id = i.integration_id)) AS credential_version
    FROM integrations i JOIN windows w ON w.window_id = i.leased_window
    WHERE i.integration_id = :id AND i.lease = :lease AND i.lease_until >= clock_timestamp() AND w.window_id = :window_id
    FOR UPDATE OF i
""")

_RENEW = text("""
    UPDATE integrations SET lease_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE integration_id IN (
        SELECT integration_id FROM integrations WHERE lease = ANY(:leases) AND lease_until >= clock_timestamp()
        ORDER BY integration_id FOR UPDATE)
""")

_LET_GO = text("""
    UPDATE integrations SET lease = NULL, lease_until = NULL, leased_window = NULL
    WHERE integration_id IN (
        SELECT integration_id FROM integrations WHERE lease = ANY(:leases) ORDER BY integration_id FOR UPDATE)
""")

_RELEASE = text("""
    UPDATE integrations SET lease = NULL, lease_until = NULL, leased_window = NULL
    WHERE integration_id = :id AND lease = :lease
""")


_UNDECIDED = text("""
    SELECT w.*, i.account_id FROM windows w JOIN integrations i USING (integration_id)
    WHERE (w.integration_id = :id OR w.window_id = ANY(:ids)) AND w.closed_at IS NULL AND w.decision IS NULL
        AND (i.leased_window IS DISTINCT FROM w.window_id OR i.lease_until < clock_timestamp())
    FOR UPDATE OF i
""")


async def claim(
    connection: AsyncConnection, owner: str, *, calls: bool = True, busy: Collection[str] = ()
) -> Claim | None:
    """Take the most urgent due window whose integration nobody holds; None where nothing is due.

    `owner`: who takes it. Without `calls` only windows that need none: decided ones, and those of removed integrations.
    `busy`: teams of which only such windows are taken.
    """
    lock_next, take = _CLAIM[calls]
    teams = {"busy": list(busy)} if calls else {}
    integration_id = (await connection.execute(lock_next, teams)).scalar_one_or_none()
    if integration_id is None:
        return None
    lease = uuid4()
    values = {"lease": lease, "owner": owner, "id": integration_id, "seconds": LEASE_SECONDS} | teams
    row = (await connection.execute(take, values)).one_or_none()
    # Between finding the row and locking it another process may have closed the window.
    return _claim(row, lease, await load_credential(connection, integration_id)) if row else None


async def renew(connection: AsyncConnection, leases: Collection[UUID]) -> None:
    """Keep what is in hand; a lease that ran out stays lost, for others may have counted on it."""
    await connection.execute(_RENEW, {"leases": list(leases), "seconds": LEASE_SECONDS})


async def let_go(connection: AsyncConnection, leases: Collection[UUID]) -> None:
    """Leave what is in hand to others, as it is: undecided, or decided and not known to be published."""
    await connection.execute(_LET_GO, {"leases": list(leases)})


async def let_go_of(connection: AsyncConnection, owner: str) -> None:
    """Free what a process of this name held before it died."""
    await connection.execute(
        text(
            "UPDATE integrations SET lease = NULL, lease_until = NULL, leased_window = NULL WHERE lease_owner = :owner"
        ),
        {"owner": owner},
    )


async def hold(connection: AsyncConnection, claim: Claim) -> Held | None:
    """Lock what `claim` holds, to decide on it; None where the lease was lost or ran out."""
    values = {"id": claim.integration_id, "lease": claim.lease, "window_id": claim.window_id}
    row = (await connection.execute(_HOLD, values)).one_or_none()
    if row is None:
        return None
    requests = await request_ids(connection, claim.window_id)
    return Held(row.removed, row.refused, row.credential_version, Trigger(row.trigger), requests)


async def request_ids(connection: AsyncConnection, window_id: UUID) -> tuple[str, ...]:
    """The requests that a window answers, oldest first."""
    rows = await connection.execute(
        text("SELECT request_id FROM requests WHERE window_id = :id ORDER BY received_at, request_id"),
        {"id": window_id},
    )
    return tuple(rows.scalars())


async def decide(connection: AsyncConnection, window_id: UUID, decision: Decision) -> None:
    """Store what became of the attempt; from now on it will be published, whoever does it."""
    await connection.execute(
        text("UPDATE windows SET decision = :decision WHERE window_id = :id AND closed_at IS NULL"),
        {"id": window_id, "decision": decision.model_dump_json()},
    )


async def wait(
    connection: AsyncConnection,
    claim: Claim,
    *,
    code: Code,
    failed_since: datetime,
    due_at: datetime,
    retry_after: datetime | None,
) -> None:
    """Note a failed attempt and when the next one is due; `retry_after` holds for all windows of the integration."""
    await connection.execute(
        text("""UPDATE windows SET attempts = attempts + 1, code = :code, failed_since = :failed_since, due_at = :due_at
                WHERE window_id = :id"""),
        {"id": claim.window_id, "code": code.value, "failed_since": failed_since, "due_at": due_at},
    )
    await connection.execute(
        text("UPDATE integrations SET retry_after = greatest(retry_after, :retry_after) WHERE integration_id = :id"),
        {"id": claim.integration_id, "retry_after": retry_after},
    )


async def release(connection: AsyncConnection, claim: Claim, *, closed: bool, due_now: bool = False) -> bool:
    """Give the window back after its decision was published; False where the lease was lost meanwhile."""
    values = {"id": claim.integration_id, "lease": claim.lease}
    if (await connection.execute(_RELEASE, values)).rowcount == 0:
        return False
    await connection.execute(
        text("""UPDATE windows SET decision = NULL, closed_at = CASE WHEN :closed THEN clock_timestamp() END,
                due_at = CASE WHEN :due_now THEN clock_timestamp() ELSE due_at END WHERE window_id = :window_id"""),
        {"window_id": claim.window_id, "closed": closed, "due_now": due_now},
    )
    return True


async def postpone(connection: AsyncConnection, claim: Claim, seconds: float) -> None:
    """Give the window back without an attempt: xAI may not be asked for so long."""
    if await release(connection, claim, closed=False):
        await connection.execute(
            text("""UPDATE windows SET due_at = clock_timestamp() + make_interval(secs => :seconds)
                    WHERE window_id = :id"""),
            {"id": claim.window_id, "seconds": seconds},
        )


async def hurry_all(connection: AsyncConnection) -> None:
    """Make every window that waits due: what it waited for is over. What xAI asked of an integration is obeyed all the same."""
    await connection.execute(
        text("""UPDATE windows SET due_at = clock_timestamp()
                WHERE closed_at IS NULL AND decision IS NULL AND due_at > clock_timestamp()""")
    )


async def end_open(connection: AsyncConnection, integration_id: UUID, code: Code, at: datetime) -> None:
    """Decide every undecided window of the integration that nobody holds: it ends with `code`, without a call."""
    for row in (await connection.execute(_UNDECIDED, {"id": integration_id, "ids": []})).all():
        await _end(connection, row, code, at)


async def end_these(connection: AsyncConnection, window_ids: Collection[UUID], code: Code, at: datetime) -> list[UUID]:
    """The same for these windows; answers which of them were still undecided and held by nobody."""
    rows = (await connection.execute(_UNDECIDED, {"id": None, "ids": list(window_ids)})).all()
    for row in rows:
        await _end(connection, row, code, at)
    return [row.window_id for row in rows]


async def _end(connection: AsyncConnection, row: Row[tuple[object, ...]], code: Code, at: datetime) -> None:
    outcome = SyncFailed(
        account_id=row.account_id,
        integration_id=row.integration_id,
        trigger=Trigger(row.trigger),
        request_ids=await request_ids(connection, row.window_id),
        first_day=row.first_day,
        last_day=row.last_day,
        code=code,
        final=True,
        attempts=row.attempts,
    )
    await decide(connection, row.window_id, FailureDecision(event_id=f"{row.window_id}:final", at=at, outcome=outcome))


def _claim(row: Row[tuple[object, ...]], lease: UUID, credential: Credential | None) -> Claim:
    return Claim(
        lease=lease,
        window_id=row.window_id,
        integration_id=row.integration_id,
        account_id=row.account_id,
        team_id=row.team_id,
        observed_at=row.observed_at,
        days=Days(row.first_day, row.last_day),
        trigger=Trigger(row.trigger),
        visits_only=row.visits_only,
        attempts=row.attempts,
        failed_since=row.failed_since,
        code=Code(row.code) if row.code else None,
        decision=row.decision,
        removed=row.removed,
        refusal=Refusal(Code(row.refused_code), row.refused_since) if row.refused_code else None,
        read_at=row.read_at,
        credential=credential,
    )
