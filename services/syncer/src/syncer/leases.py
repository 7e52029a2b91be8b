"""Claims on windows: at most one window of an integration at a time, on a lease that frees it when its process dies."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import Any
from uuid import UUID

from common.database import Database, pipelined
from common.rate_limits import Rate
from contract.fields import Trigger
from contract.problems import Code
from contract.rules import READABLE_DAYS
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer import teams
from syncer.domain import Days, Refusal, refusal_of
from syncer.group_commit import BY_INDEX
from syncer.guard import Amounts
from syncer.requests import ids_of_window
from syncer.store import Credential

LEASE = timedelta(seconds=20)
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
    request_ids: tuple[str, ...]
    """Oldest first; while the window is claimed, none joins it."""
    known: Mapping[date, Amounts]
    """What was published last, of every readable day of the integration; empty where no call is needed."""
    needs_call: bool
    """The team is leased, and one of its calls taken."""
    has_questions: bool
    """Of any day."""
    others_open: bool
    """Further windows of the integration."""


@dataclass(frozen=True, slots=True)
class LockedWindow:
    """A claimed window at the moment of its decision, its integration's row locked."""

    removed: bool
    refused: bool
    refused_once: bool
    """The key worked before; its windows wait until it is tried again."""
    credential_version: int
    """Newest that was announced or has arrived."""
    trigger: Trigger
    request_ids: tuple[str, ...]


_NEEDS_NO_CALL = "(w.decision IS NOT NULL OR i.removed)"
_NEEDS_CALL = f"""(w.due_at <= clock_timestamp() AND (i.retry_after IS NULL OR i.retry_after <= clock_timestamp())
    AND {teams.IS_FREE}
    AND EXISTS (SELECT FROM credentials c
        WHERE c.integration_id = i.integration_id AND c.credential_version >= i.credential_version))"""

_ORDER = "(w.decision IS NULL), w.urgency, w.turn, w.last_day DESC, w.due_at"
"""Most urgent first, as in the index that is read until there are enough."""

# Nothing is waited for, so that a claim takes part in no deadlock; what was updated meanwhile is looked at again.
_CLAIM = """
    WITH due AS MATERIALIZED (
        SELECT w.*, i.team_id, NOT {needs_no_call} AS needs_call
        FROM windows w JOIN integrations i USING (integration_id) JOIN teams t USING (team_id)
        WHERE w.closed_at IS NULL AND {ready} AND (i.lease IS NULL OR i.lease_until < clock_timestamp())
        ORDER BY {order} LIMIT %(at_most)s
        FOR UPDATE OF i, t, w SKIP LOCKED
    ), picked AS MATERIALIZED (
        SELECT DISTINCT ON (team_id) gen_random_uuid() AS new_lease, w.*, row_number() OVER () AS place,
            count(*) OVER () = %(at_most)s AS are_more_due
        FROM due w ORDER BY team_id, place
    ), team AS (
        UPDATE teams t SET lease = new_lease, lease_until = clock_timestamp() + %(lasts)s,
            full_at = greatest(t.full_at, clock_timestamp()) + %(interval)s
        FROM picked WHERE t.team_id = picked.team_id AND picked.needs_call
    ), claimed AS (
        UPDATE integrations i SET
            lease = new_lease, lease_owner = %(owner)s, leased_window = picked.window_id,
            lease_until = clock_timestamp() + %(lasts)s,
            observed_at = greatest(clock_timestamp(), i.observed_at + interval '1 microsecond')
        FROM picked
        WHERE i.integration_id = picked.integration_id
        RETURNING i.lease, i.integration_id, i.account_id, i.team_id, i.observed_at, i.removed, i.refused_code,
            i.refused_since, i.read_at, picked.window_id, picked.first_day, picked.last_day, picked.trigger,
            picked.attempts, picked.needs_call, picked.failed_since, picked.code, picked.decision, picked.traceparent,
            picked.place, picked.are_more_due
    )
    SELECT claimed.*, set_config('syncer.claimed', (SELECT string_agg(integration_id::text, ' ') FROM claimed), true)
    FROM claimed
"""
# A statement of its own, for it sees what was committed before the rows were locked: the claim may have begun to look
# earlier, and a request that joined the window meanwhile would be lost. Under the lease none of this changes. Its
# subqueries are such that Postgres answers them by a hash of a whole table as little as by an index of their order.
LOAD = f"""
    SELECT i.integration_id, c.account_id AS key_account_id, c.credential_version, c.wrap_version, c.envelope,
        (SELECT array_agg(r.request_id ORDER BY r.received_at, r.request_id)
            FROM (SELECT * FROM requests WHERE window_id = w.window_id OFFSET 0) r) AS request_ids,
        (SELECT coalesce(bool_and(r.trigger = 'visit'), true) FROM requests r
            WHERE r.window_id = w.window_id) AS visits_only,
        (SELECT jsonb_object_agg(k.day, k.ticks) FROM known_days k WHERE k.integration_id = i.integration_id
            AND k.day > CAST(i.observed_at AS date) - %(readable_days)s AND NOT {_NEEDS_NO_CALL}) AS known,
        (SELECT count(*) > 0 FROM questions q WHERE q.integration_id = i.integration_id) AS has_questions,
        (SELECT count(*) > 1 FROM windows o WHERE o.integration_id = i.integration_id AND o.closed_at IS NULL)
            AS others_open
    FROM unnest(string_to_array(current_setting('syncer.claimed', true), ' ')::uuid[]) one(integration_id)
        JOIN integrations i USING (integration_id) JOIN windows w ON w.window_id = i.leased_window
        LEFT JOIN LATERAL (SELECT * FROM credentials WHERE integration_id = i.integration_id OFFSET 0) c ON true
"""  # noqa: S608 - only a constant is put in
CLAIMS = {
    calls: _CLAIM.format(ready=ready, needs_no_call=_NEEDS_NO_CALL, order=_ORDER)
    for calls, ready in ((True, f"({_NEEDS_NO_CALL} OR {_NEEDS_CALL})"), (False, _NEEDS_NO_CALL))
}
"""By whether a window that needs a call may be claimed."""

_LOCK = text("""
    SELECT i.removed, i.refused_code IS NOT NULL AS refused, i.refused_once_at IS NOT NULL AS refused_once, w.trigger,
        greatest(i.credential_version, (SELECT c.credential_version FROM credentials c
            WHERE c.integration_id = i.integration_id)) AS credential_version
    FROM integrations i JOIN windows w ON w.window_id = i.leased_window
    WHERE i.integration_id = :id AND i.lease = :lease AND i.lease_until >= clock_timestamp() AND w.window_id = :window_id
    FOR UPDATE OF i
""")

_RENEW = text("""
    WITH held AS (
        SELECT integration_id FROM integrations
        WHERE integration_id = ANY(:ids) AND lease = ANY(:leases) AND lease_until >= clock_timestamp()
        ORDER BY integration_id FOR UPDATE
    ), renewed AS (
        UPDATE integrations i SET lease_until = clock_timestamp() + :lasts FROM held
        WHERE i.integration_id = held.integration_id RETURNING i.team_id, i.lease
    )
    UPDATE teams t SET lease_until = clock_timestamp() + :lasts FROM renewed
    WHERE t.team_id = renewed.team_id AND t.lease = renewed.lease
""")

_RELEASE = """
    WITH held AS (SELECT integration_id, lease FROM integrations WHERE {which} ORDER BY integration_id FOR UPDATE),
    released AS (
        UPDATE integrations i SET lease = NULL, lease_until = NULL, leased_window = NULL FROM held
        WHERE i.integration_id = held.integration_id RETURNING i.team_id, held.lease
    )
    UPDATE teams t SET lease = NULL, lease_until = NULL FROM released
    WHERE t.team_id = released.team_id AND t.lease = released.lease
"""
_RELEASE_CLAIMS = text(_RELEASE.format(which="integration_id = ANY(:ids) AND lease = ANY(:leases)"))
_RELEASE_OWNER = text(_RELEASE.format(which="lease_owner = :owner"))


async def claim(
    database: Database, owner: str, per_team: Rate, at_most: int, *, calls: bool = True
) -> tuple[list[Claim], bool]:
    """Lease the most urgent due windows of integrations without a lease, one of a team; the most urgent comes first.

    And whether others may be due as well: as many were found as were looked for. `owner`: name of the process. Without
    `calls` only windows that need none (decided, or removed); others lease their team, and take a call that it has `per_team`.
    """
    values = {"owner": owner, "lasts": LEASE, "at_most": at_most} | teams.bucket(per_team)
    async with database.pipeline() as pipeline:
        await pipeline.execute(BY_INDEX)
        leased = await pipeline.execute(CLAIMS[calls], values)
        loaded = await pipeline.execute(LOAD, {"readable_days": READABLE_DAYS})
    if not (rows := await leased.fetchall()):
        return [], False
    more = {row["integration_id"]: row async for row in loaded}
    rows.sort(key=itemgetter("place"))
    return [_claim(row | more[row["integration_id"]]) for row in rows], rows[0]["are_more_due"]


async def lock(connection: AsyncConnection, claim: Claim) -> LockedWindow | None:
    """Lock the integration and window of `claim`, to decide on it; None where the lease was lost or has expired."""
    values = {"id": claim.integration_id, "lease": claim.lease, "window_id": claim.window_id}
    row = (await connection.execute(_LOCK, values)).mappings().one_or_none()
    if row is None:
        return None
    async with pipelined(connection) as pipeline:
        request_ids = await ids_of_window(pipeline, claim.window_id)
    return LockedWindow(**dict(row) | {"trigger": Trigger(row["trigger"])}, request_ids=request_ids)


async def renew(connection: AsyncConnection, claims: Collection[Claim]) -> None:
    """Extend the leases; one that has expired stays lost, for others may have counted on it."""
    await connection.execute(_RENEW, _leases(claims) | {"lasts": LEASE})


async def release(connection: AsyncConnection, claims: Collection[Claim]) -> None:
    """Leave the windows to others, as they are: undecided, or decided and maybe not published."""
    await connection.execute(_RELEASE_CLAIMS, _leases(claims))


async def release_owner(connection: AsyncConnection, owner: str) -> None:
    """The same for whatever a process of this name held before it died."""
    await connection.execute(_RELEASE_OWNER, {"owner": owner})


def _leases(claims: Collection[Claim]) -> dict[str, list[UUID]]:
    return {"ids": [claim.integration_id for claim in claims], "leases": [claim.lease for claim in claims]}


def _claim(row: dict[str, Any]) -> Claim:
    del row["place"], row["are_more_due"], row["set_config"]
    days = Days(row.pop("first_day"), row.pop("last_day"))
    refusal = refusal_of(row.pop("refused_code"), row.pop("refused_since"))
    key = {name: row.pop(name) for name in ("credential_version", "wrap_version", "envelope")}
    key_account_id = row.pop("key_account_id")
    known = row.pop("known") or {}
    return Claim(
        **row
        | {
            "trigger": Trigger(row["trigger"]),
            "code": Code(row["code"]) if row["code"] else None,
            "request_ids": tuple(row["request_ids"] or ()),
        },
        days=days,
        refusal=refusal,
        credential=Credential(row["integration_id"], key_account_id, **key) if key_account_id else None,
        known={date.fromisoformat(day): ticks for day, ticks in known.items()},
    )
