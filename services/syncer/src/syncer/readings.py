"""Stores a reading, and what is decided about it, by one statement under the claim: whole, or not at all."""

import json
import zlib

from contract.messages import WindowRead
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer.decisions import Decision, ReadingDecision
from syncer.group_commit import GroupCommit, columns
from syncer.guard import amounts_of
from syncer.leases import Claim
from syncer.provider import Reading

COMPRESSION = 1
"""Of raw answers: they are repetitive, and more effort hardly makes them smaller."""

# Of several windows, each of another integration: what a window has several of is in arrays of its own, by `reading_id`.
_SAVE = """
    WITH held AS MATERIALIZED (
        SELECT new.* FROM unnest(%(id)b::uuid[], %(lease)b::uuid[], %(window_id)b::uuid[], %(refused)b::boolean[],
                %(requests)b::bigint[], %(decision)b::text[], %(read_at)s::timestamptz[], %(first_day)b::date[],
                %(beyond)s::date[], %(reading_id)b::uuid[], %(observed_at)b::timestamptz[])
            new(integration_id, lease, window_id, refused, requests, decision, read_at, first_day, beyond, reading_id,
                observed_at)
            JOIN integrations i USING (integration_id)
        WHERE i.lease = new.lease AND i.lease_until >= clock_timestamp() AND i.leased_window = new.window_id
            AND NOT i.removed AND (i.refused_code IS NULL AND i.refused_once_at IS NULL OR new.refused)
            AND (SELECT count(*) FROM requests r WHERE r.window_id = new.window_id) = new.requests
        FOR UPDATE OF i
    ), decided AS (
        UPDATE windows w SET decision = held.decision FROM held WHERE w.window_id = held.window_id AND w.closed_at IS NULL
        RETURNING held.lease
    ), noted AS (
        UPDATE integrations i SET read_at = coalesce(held.read_at, i.read_at), beyond_xai_until = CASE
            WHEN held.beyond IS NOT NULL OR i.beyond_xai_until >= held.first_day THEN held.first_day - 1
            ELSE i.beyond_xai_until END
        FROM held WHERE i.integration_id = held.integration_id
    ), answers AS (
        INSERT INTO raw_answers (reading_id, part, integration_id, first_day, last_day, observed_at, sha256, body)
        SELECT reading_id, part, held.integration_id, answer.first_day, answer.last_day, held.observed_at, sha256, body
        FROM held JOIN unnest(%(answers)b::uuid[], %(parts)b::integer[], %(firsts)b::date[], %(lasts)b::date[],
                %(hashes)b::bytea[], %(bodies)b::bytea[])
            answer(reading_id, part, first_day, last_day, sha256, body) USING (reading_id)
    ), days AS MATERIALIZED (
        SELECT held.integration_id, held.observed_at, new.day, new.ticks::jsonb AS ticks
        FROM held JOIN unnest(%(day_of)b::uuid[], %(days)b::date[], %(ticks)b::text[]) new(reading_id, day, ticks)
            USING (reading_id)
    ), published AS (
        INSERT INTO coverage (integration_id, day, published_at) SELECT integration_id, day, observed_at FROM days
        ON CONFLICT (integration_id, day)
            DO UPDATE SET published_at = greatest(coverage.published_at, excluded.published_at)
    ), answered AS (
        DELETE FROM questions q USING days WHERE q.integration_id = days.integration_id AND q.day = days.day
    ), known AS (
        INSERT INTO known_days (integration_id, day, ticks) SELECT integration_id, day, ticks FROM days
        ON CONFLICT (integration_id, day) DO UPDATE SET ticks = excluded.ticks WHERE known_days.ticks <> excluded.ticks
    )
    SELECT lease FROM decided
"""


async def save(group: GroupCommit, claim: Claim, reading: Reading, decision: ReadingDecision) -> bool:
    """Store a reading of which all is published.

    False where the lease was lost, the integration is removed, its key was refused, be it once, or a request joined: by a
    clock that was ahead for a moment, the lease had expired.
    """
    values = _values(claim, reading, decision.window, decision) | {"refused": False}
    return await group.execute(claim.integration_id, claim.lease, _SAVE, values)


async def save_locked(
    connection: AsyncConnection, claim: Claim, reading: Reading, read: ReadingDecision, decision: Decision
) -> bool:
    """Store any reading within the transaction that locked the claim; `read` has the days that are believed.

    `decision` is stored, and published later.
    """
    values = _values(claim, reading, read.window, decision) | {"refused": True}
    found = await connection.exec_driver_sql(_SAVE, columns([values]))
    return found.first() is not None


def _values(claim: Claim, reading: Reading, window: WindowRead, decision: Decision) -> dict[str, object]:
    days, parts, at = list(window.totals), reading.parts, window.observed_at
    return {
        "id": claim.integration_id,
        "lease": claim.lease,
        "window_id": claim.window_id,
        "requests": len(window.request_ids),
        "decision": decision.stored,
        "read_at": at if at.date() in window.totals else None,
        "first_day": reading.first_day,
        "beyond": reading.beyond_until,
        "reading_id": window.reading_id,
        "observed_at": at,
        "answers": [window.reading_id] * len(parts),
        "parts": list(range(len(parts))),
        "firsts": [part.first_day for part in parts],
        "lasts": [part.last_day for part in parts],
        "hashes": [part.sha256 for part in parts],
        "bodies": [zlib.compress(part.body, COMPRESSION) for part in parts],
        "day_of": [window.reading_id] * len(days),
        "days": days,
        "ticks": [json.dumps(amounts_of(reading.days[day])) for day in days],
    }
