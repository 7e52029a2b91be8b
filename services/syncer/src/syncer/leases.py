"""Claims on windows: at most one window of an integration at a time, on a lease that frees it when its process dies."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from contract.fields import Trigger
from contract.problems import Code
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer.domain import Days, Refusal, refusal_of
from syncer.requests import ids_of_window
from syncer.store import Credential, load_credential

LEASE_SECONDS = 20
"""How long the window of a process that died waits; a live process renews its leases every few seconds."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed window, and what its attempt needs."""

    lease: UUID
    window_id: UUID
    integration_id: UUID
    account_id: str
    team_id: str
    observed_at: datetime
    """Taken from the database's clock under the claim; later than that of every former claim."""
    days: Days
    trigger: Trigger
    visits_only: bool
    """All of its requests are visits."""
    attempts: int
    """That failed so far."""
    failed_since: datetime | None
    code: Code | None
    """Of the last failed attempt."""
    decision: str | None
    """Stored by a former claim, and maybe not published."""
    traceparent: str | None
    """Of the first request that has one."""
    removed: bool
    refusal: Refusal | None
    read_at: datetime | None
    credential: Credential | None


@dataclass(frozen=True, slots=True)
class LockedWindow:
    """A claimed window at the moment of its decision, its integration's row locked."""

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
        picked.code, picked.decision, picked.traceparent,
        NOT EXISTS (SELECT 1 FROM requests r WHERE r.window_id = picked.window_id AND r.trigger <> 'visit') AS visits_only
"""

_CLAIM = {
    calls: tuple(text(part.format(ready=ready, order=_ORDER)) for part in (_LOCK_NEXT, _LEASE))
    for calls, ready in ((True, _READY), (False, _READY_WITHOUT_A_CALL))
}

_LOCK = text("""
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

_RELEASE = text("""
    UPDATE integrations SET lease = NULL, lease_until = NULL, leased_window = NULL
    WHERE integration_id IN (
        SELECT integration_id FROM integrations WHERE lease = ANY(:leases) ORDER BY integration_id FOR UPDATE)
""")

_RELEASE_OWNER = text("""
    UPDATE integrations SET lease = NULL, lease_until = NULL, leased_window = NULL WHERE lease_owner = :owner
""")


async def claim(
    connection: AsyncConnection, owner: str, *, calls: bool = True, busy: Collection[str] = ()
) -> Claim | None:
    """Lease the most urgent due window of an integration without a lease; None where nothing is due.

    `owner`: name of the process. Without `calls` only windows that need none: decided ones, and those of removed
    integrations. `busy`: teams of which only such windows are claimed.
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


async def lock(connection: AsyncConnection, claim: Claim) -> LockedWindow | None:
    """Lock the integration and window of `claim`, to decide on it; None where the lease was lost or has expired."""
    values = {"id": claim.integration_id, "lease": claim.lease, "window_id": claim.window_id}
    row = (await connection.execute(_LOCK, values)).one_or_none()
    if row is None:
        return None
    request_ids = await ids_of_window(connection, claim.window_id)
    return LockedWindow(row.removed, row.refused, row.credential_version, Trigger(row.trigger), request_ids)


async def renew(connection: AsyncConnection, leases: Collection[UUID]) -> None:
    """Extend the leases; one that has expired stays lost, for others may have counted on it."""
    await connection.execute(_RENEW, {"leases": list(leases), "seconds": LEASE_SECONDS})


async def release(connection: AsyncConnection, leases: Collection[UUID]) -> None:
    """Leave the windows to others, as they are: undecided, or decided and maybe not published."""
    await connection.execute(_RELEASE, {"leases": list(leases)})


async def release_owner(connection: AsyncConnection, owner: str) -> None:
    """The same for whatever a process of this name held before it died."""
    await connection.execute(_RELEASE_OWNER, {"owner": owner})


def _claim(row: Row[tuple[object, ...]], lease: UUID, credential: Credential | None) -> Claim:
    fields = dict(row._mapping)  # noqa: SLF001 - a row's public mapping has this name
    days = Days(fields.pop("first_day"), fields.pop("last_day"))
    refusal = refusal_of(fields.pop("refused_code"), fields.pop("refused_since"))
    enums = {"trigger": Trigger(row.trigger), "code": Code(row.code) if row.code else None}
    return Claim(**fields | enums, lease=lease, days=days, refusal=refusal, credential=credential)
